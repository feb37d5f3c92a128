"""When the frames of a video are shown, also where its file does not say so.

AVI counts its frames in the order in which they are decoded, and so do some other files that were
copied from one. Decoders hand out frames in the order in which they are shown, so the first one
shown has the first of those times. Decodes nothing.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

WITHOUT_TIMES = "avi"  # FFmpeg's name: times that it gives of frames are guesses
PACKET_IS_NO_FRAME = "mpegts"  # a packet may be a field; it always states times


class _Sent(NamedTuple):
    """A packet that a decoder was given."""

    pts: int | None
    ticks: int  # its own place on the file's clock


class ShownTimes:
    """Gives each frame the time at which it is shown; in the ticks of its stream.

    Parameters
    ----------
    stream : VideoStream
    container : str
        FFmpeg's name of it.
    """

    def __init__(self, stream: VideoStream, container: str) -> None:
        self._context = stream.codec_context
        self._guessed = container == WITHOUT_TIMES
        self._stated = container == PACKET_IS_NO_FRAME  # whether packets say when to be shown
        self._latest: int | None = None  # time of any packet
        self._sent: deque[_Sent] = deque()  # in the order of decoding, one for each frame to come

    def sends(self, packet: Packet) -> None:
        """A packet goes to the decoder."""
        ticks = packet.dts if self._guessed or packet.pts is None else packet.pts
        if self._stated or ticks is None or not packet.size:
            return
        if not self._guessed and self._latest is not None and ticks < self._latest:
            self._stated = True  # in another order than that of decoding
            self._sent.clear()
            return
        self._latest = ticks
        self._sent.append(_Sent(packet.pts, ticks))

    def lost(self) -> None:
        """A packet could not be decoded."""
        if self._sent:
            self._sent.pop()

    def correct(self, frame: VideoFrame) -> None:
        """Set the time of the next frame that is shown."""
        if self._stated or not self._sent:
            return
        if frame.key_frame:
            self._forget_before(frame.pts)
        ticks = self._sent.popleft().ticks
        if self._context.has_b_frames:
            frame.pts = ticks

    def _forget_before(self, pts: int | None) -> None:
        """All that was decoded before a key frame is shown before it, or was lost."""
        if any(each.pts == pts for each in self._sent):
            while self._sent[0].pts != pts:
                self._sent.popleft()
