"""What one stage hands the next: arrays with names, checked once, saved without pickle.

Letters used throughout: N images in the fingerprint sample, M members, D channels of a member, C = M·D
channels in all, F labels. Channel (member, channel) stands at c = the members in order, each with its
channels in order.
"""

from vaefrag_core.artifacts.analysis import Analysis, ChannelMatrix
from vaefrag_core.artifacts.atlas import Atlas, Link, SweepPoint
from vaefrag_core.artifacts.channel_map import ChannelMap
from vaefrag_core.artifacts.fusion import FusedSpace, FusionState
from vaefrag_core.artifacts.hotspot import Hotspot, Hotspots
from vaefrag_core.artifacts.nmi_inside import NmiInside
from vaefrag_core.artifacts.null_tests import MemberCurve, NullTests, RotatedSearches
from vaefrag_core.artifacts.over_training import OverTraining, Snapshots
from vaefrag_core.artifacts.posteriors import Posteriors
from vaefrag_core.artifacts.recurrence import Recurrence
from vaefrag_core.artifacts.spaces import SpaceMatrix
from vaefrag_core.artifacts.stability import Stability
from vaefrag_core.artifacts.traversals import Traversals

__all__ = [
    "Analysis",
    "Atlas",
    "ChannelMap",
    "ChannelMatrix",
    "FusedSpace",
    "FusionState",
    "Hotspot",
    "Hotspots",
    "Link",
    "MemberCurve",
    "NmiInside",
    "NullTests",
    "OverTraining",
    "Posteriors",
    "Recurrence",
    "RotatedSearches",
    "Snapshots",
    "SpaceMatrix",
    "Stability",
    "SweepPoint",
    "Traversals",
]
