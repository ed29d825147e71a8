"""How sure each hotspot is, as JSON content: the same names wherever hotspots are reported."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaefrag_core.structure.hotspot_evidence import HotspotEvidence


def evidence_result(evidence: "HotspotEvidence") -> dict[str, Any]:
    """Return how sure one hotspot is; null where something was not worked out."""
    tried = evidence.p_value is not None
    null = {
        "p_value": evidence.p_value,
        "false_discovery_rate": evidence.false_discovery_rate,
        "rotation_percentile": evidence.rotation_percentile,
    }
    return {**inside_result(evidence), **return_result(evidence), "null": null if tried else None}


def inside_result(evidence: "HotspotEvidence") -> dict[str, Any]:
    """Return the corrected NMI inside a hotspot, with its standard error and interval over images."""
    interval = evidence.nmi_interval
    return {
        "mean_nmi_corrected": evidence.nmi,
        "mean_nmi_corrected_error": evidence.nmi_error,
        "mean_nmi_corrected_interval": None if interval is None else list(interval),
    }


def return_result(evidence: "HotspotEvidence") -> dict[str, Any]:
    """Return how likely a new member is to hold a hotspot, with its interval."""
    interval = evidence.return_interval
    return {
        "return_probability": evidence.return_probability,
        "return_interval": None if interval is None else list(interval),
    }
