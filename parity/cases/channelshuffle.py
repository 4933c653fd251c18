"""ChannelShuffle."""

from parity.case import Case, bools, normal

CASES = (
    Case("ChannelShuffle", (2,), inputs=(normal(2, 6, 3, 5),)),
    Case("ChannelShuffle", (3,), inputs=(normal(2, 12, 4),)),
    Case("ChannelShuffle", (4,), inputs=(normal(1, 8, 2, 3, 2),)),
    Case("ChannelShuffle", (1,), inputs=(normal(2, 3, 4),)),
    Case("ChannelShuffle", (2,), inputs=(normal(0, 6, 3),), note="empty batch"),
    Case("ChannelShuffle", (2,), inputs=(bools(2, 6, 3),)),
    Case("functional.channel_shuffle", (3,), inputs=(normal(2, 6, 3, 5),)),
    Case("functional.native_channel_shuffle", (3,), inputs=(bools(2, 6, 3, 5),)),
)
