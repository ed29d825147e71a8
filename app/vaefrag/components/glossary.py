"""The field's words, explained where they are used."""

import dash_mantine_components as dmc
from dash import html

from vaefrag.components.markup import aria

TERMS: dict[str, str] = {
    "channel": "One latent dimension of one trained VAE. 3.7 is channel 7 of member 3, both counted from 0.",
    "member": "One VAE of the ensemble, trained from its own random seed.",
    "information": "I(X;U): how many bits a channel tells about which image was seen, estimated on the fingerprint"
    " sample from how well its posteriors can be told apart. 1 bit halves the images, 2 bits quarter them.",
    "ceiling": "log2 N: with N images in the fingerprint sample no channel can tell more than this many bits; fewer"
    " where some of them are copies of others."
    " By the published bound all values are underestimates, by 0.2 to 0.3 bits a channel, near the ceiling by more.",
    "estimator": "How information is worked out. The published bound compares images two by two and is 0.2 to 0.3 bits"
    " too low for each channel; exact integrals are over the channel's own values, with NMI a little lower. Corrected"
    " for chance, exact NMI hardly depends on how many images there are.",
    "KL": "Divergence of the channel's posteriors from the prior, averaged over the fingerprint sample: what the"
    " training loss charges for the channel. 1 nat = 1.44 bits.",
    "NMI": "Normalised mutual information: how much two channels tell in common, relative to what each tells about"
    " itself. 0: nothing in common, 1: the same distinctions. Being a ratio of information about noisy draws, it"
    " can exceed 1.",
    "NMI above 1": "NMI divides what two channels share by what two draws of the same channel share. When both"
    " channels are noisy readings of one clean distinction, the two together can share more than that, and the"
    " ratio passes 1. It is a true value, not an error.",
    "chance": "On few images even channels that share nothing seem alike, the more so the more each tells. This level"
    " is measured by dealing images anew; NMI near it means nothing. A larger fingerprint sample lowers it.",
    "corrected NMI": "NMI counted from the level that two such channels would show by chance: 0 on average when they"
    " share nothing, 1 when they make the same distinctions.",
    "corrected inside": "Corrected NMI, averaged over the pairs of channels in the hotspot, with its standard"
    " error over the choice of images: how far it would move on another sample of as many. Two of these errors to"
    " either side make an interval of 95 %. Rows in grey may be chance; a sentence below the table says why.",
    "standard error": "How far these numbers would move on another fingerprint sample of as many images: behind ±"
    " stands one standard error. It knows nothing of what the size of the sample does, the ceiling and the level of"
    " chance, nor of other members.",
    "VI": "Variation of information, in bits: what is left to learn about each channel once the other is known."
    " 0: the same distinctions; large: different ones. Unlike NMI it grows with the information itself.",
    "hotspot": "A group of channels, from different members, that make nearly the same distinctions: a fragment of"
    " information that came back in run after run: in a quarter of the members, three at least, and clearly more alike"
    " than chance.",
    "reachability": "How far each channel lies from those already visited, in the order in which OPTICS walks"
    " through the channels. Valleys are groups of similar channels. It decides the order, and no hotspot.",
    "new member": "How likely a new member is to hold this hotspot. Each member in turn is held out, the hotspots are"
    " found among the others, and it counts whether the one held out has a channel that belongs. Point at a number for"
    " its interval, and for the members that lack the hotspot.",
    "p-value": "Could chance do as well? The images of every channel are shuffled, each channel in its own way, and"
    " hotspots are looked for again; p is the share of such searches whose best group is as alike inside. Beside it"
    " the rate of false discoveries when this hotspot and those of smaller p are called real.",
    "turned axes": "Do members agree on axes, or only on what they tell together? The axes of each member are turned at"
    " random, each channel keeps its bits, and hotspots are looked for again: how many percent of these ensembles have"
    " no hotspot as alike inside. From 95 on, members take the same axes more than chance would.",
    "member curve": "Hotspots are looked for among some of the members, chosen at random. A curve that still climbs at"
    " its end says that more members would show more.",
    "agreement": "How much the member's channels are like the other members' in the hotspots that it holds: mean NMI"
    " corrected for chance, by its best channel in each. 1: the same distinctions.",
    "outlier": "How often a member of no special standing would share as little with the hotspots: what each member"
    " shares with each hotspot is dealt anew among the members, and the lowest mean noted. An outlier has a p of 0.04"
    " or less, and shares clearly less than the middle member.",
    "nearest copies": "The channels of three other members that are most like this one, with their NMI corrected for"
    " chance: 1 for the same distinctions, about 0 for nothing in common.",
    "returns": "Would the hotspot be there with other runs, or with other images? Some of the members are drawn at"
    " random, about 63 %, and hotspots are looked for among them anew; the first number says how often this one was"
    " found again. The second says the same of drawing images. Near 100 %: trust it. Below half: it may be chance.",
    "Jaccard": "Channels in both groups, divided by channels in either: 1 when the hotspot comes back whole and alone,"
    " 0 when nothing of it does. Averaged over the resamples of members / of images. From 0.5 on it counts as found"
    " again.",
    "other images": "What was found on the images that were drawn, judged on these and on those left out: mean"
    " similarity inside, corrected for chance. What is alike by luck is so on the first alone.",
    "medoid": "The channel of a hotspot that is nearest to all its others: its most typical one.",
    "MDS": "Multidimensional scaling: a plane in which distances between points match the channels' distances as"
    " well as they can. Far apart means different.",
    "stress": "Kruskal's stress of the MDS plane: the share of the distances it fails to show. Below 0.1 good,"
    " above 0.2 read it with care.",
    "UMAP": "A plane that keeps nearest neighbours together. Groups can be trusted; distances between groups and"
    " their sizes cannot.",
    "traversal": "Latent traversal: an image is encoded, one channel is moved across the range it takes in the"
    " data, the other channels stay, and the decoder paints each step.",
    "joint": "I(X;U,V): what the two channels tell together. If they told different things it would be the sum of"
    " both; if the same, no more than one.",
    "joint information": "I(X;U1..Uk): what the channels tell together, by adding the distances between their"
    " posteriors. At most log2 N of N images in the sample.",
    "redundancy": "The sum of what each channel tells alone, less what all tell together: told more than once. Counted"
    " from what channels that share nothing would show on so few images. Negative where channels tell together what"
    " none of them tells alone.",
    "Shapley share": "What a channel adds to the set, averaged over all orders of putting the set together; the shares"
    " sum to what all tell together. Its marginal share is what the set would lose without it: 0 when another tells"
    " the same.",
    "greedy set": "Begins with the channel that tells most, then adds the one that adds most, again and again. Chosen"
    " and judged on the same sample, it looks a little better than it is: see the table of other images below.",
    "on other images": "A search takes what looks best on its images, and part of that is luck. So sets are grown on"
    " half of the images and told on the other half; copies of an image are on one side. Random sets have as many"
    " channels. The interval is over the splits.",
    "carried": "What the set and a member's whole latent space tell alike, over what the member tells, counted from"
    " the level of chance: 0 when they share nothing, however few the images. Mean over all members,"
    " with its standard error over images.",
    "dead": "A channel that tells less than the threshold (0.01 bits unless set otherwise). Its similarity to"
    " others would be a ratio of two vanishing numbers.",
    "live_kl": "A channel is live while its KL, averaged over the last logged steps, is at least 0.01 nats. When no"
    " channel of a member is live after 500 steps, the member has collapsed: it paints one image for all.",
    "label": "A known property of the images. It is compared like a channel that tells its values apart perfectly."
    " Numbers of many values are cut into 20 bins first, and images without a value are left aside. NMI with a label is"
    " corrected for chance: 0 where nothing is told. Text with about as many values as images names them, and is"
    " compared with nothing.",
    "loss": "The objective that training lowers, nats per image: how badly the image is painted again, plus β times"
    " the KL of all channels.",
    "attempt": "How often this member was handed to a worker. After a death or a pause it goes on from its last"
    " checkpoint, to the same result as without.",
    "over training": "What the channel told at some steps of its training, and its NMI with itself at the end: 1 once"
    " it makes its final distinctions. While it tells next to nothing, its NMI is a ratio of two small"
    " numbers and says little.",
    "sweep": "Ensembles that differ in one coefficient of the objective alone, one ensemble for each of its values.",
    "atlas": "The hotspots of a sweep, followed from value to value. Where a hotspot's channels share much with those"
    " of one at the next value, the fragment has gone on; where nothing leads to one, it has appeared. Two that come"
    " from one have split; where one comes from two, they have merged.",
    "tightness": "Mean NMI of the pairs of channels inside a hotspot, averaged over hotspots: how nearly its channels"
    " make the same distinctions.",
    "fused space": "One space made from many, its learners: means and variances of one posterior for each image, fitted"
    " until they are as similar as can be, on average, to what the learners say about the same images.",
    "learner": "What is fused: a member's whole latent space, or a single channel.",
    "objective of a fusion": "What is maximized, averaged over the learners. vi, exp(−VI), ends where the space tells"
    " what the learners tell and no more; with few or very unlike learners it may copy one of them, and then says so."
    " nmi rises while the space shrinks to nothing, mutual-information until every image is told apart: they are there"
    " to be compared with vi, and their failure is never called a success. information-bottleneck sums I(U;V) over the"
    " learners and pays a price λ for every bit: what more learners tell than the price is kept.",
    "reading a label": "How well a label is predicted of images held out, copies of an image always together. overlap:"
    " by the ten images whose posteriors overlap most with its own. draws: from one draw of its posterior, as the"
    " channels transmit it. means: by the ten nearest posterior means, which ignores how uncertain a posterior is."
    " Intervals are of 95 % and count that splits share images (Nadeau and Bengio, 2003).",
    "continuity": "For images that lie on a ring: the largest distance between neighbours over the usual one (the 90th"
    " percentile). 1: the ring is whole. Large: it was cut somewhere.",
    "beta": "β: weight of the KL term in the loss. The larger, the fewer bits the channels may carry.",
}


def help_mark(term: str) -> dmc.Tooltip:
    """Show a small “?” that explains a term to the mouse, the keyboard and touch."""
    return dmc.Tooltip(
        html.Button("?", type="button", className="help", **aria(label=f"What is {term}?")),
        label=TERMS[term],
        multiline=True,
        w=300,
        withArrow=True,
        # The tooltip's own wrapper is a block, which would break the line of text that the mark stands in.
        boxWrapperProps={"component": "span", "style": {"display": "inline-block"}},
        events={"hover": True, "focus": True, "touch": True},
    )
