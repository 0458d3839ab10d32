"""Lines out of pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pctx_jupyter.rpc import attached
from pctx_jupyter.rpc.lines import PIECE_BYTES, WHOLE, Lines, LineWriter


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=9), st.data())
def test_lines_arrive_whole_however_they_were_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream, reader, heard = b"".join(line + b"\n" for line in lines), Lines(100), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        heard += reader.cut(stream[:size])
        stream = stream[size:]
    assert heard == lines and reader.start == b""


def test_a_line_too_long_is_known_before_its_end_has_come_and_can_be_forgotten() -> None:
    reader = Lines(4)
    assert reader.cut(b"a\nbcde") == [b"a"] and not reader.is_too_long
    assert reader.cut(b"f") == [] and reader.is_too_long and reader.start == b"bcdef"
    reader.clear()
    assert reader.cut(b"g\n") == [b"g"] and not reader.is_too_long


class Full:
    """An output that has room for one piece at a time."""

    def __init__(self, writer: LineWriter) -> None:
        self.writer, self.written = writer, list[bytes]()

    def write(self, data: bytes | memoryview, /) -> None:
        self.written.append(bytes(data))
        self.writer.pause()


def test_a_long_line_leaves_in_pieces_each_when_there_is_room_for_it() -> None:
    writer = LineWriter()
    output = writer.output = Full(writer)
    long, with_bytes = b"x\n" * PIECE_BYTES, attached.joined(b"{}", memoryview(b"\n" * WHOLE))
    lines = [b"a\nb", long, with_bytes, b"c"]
    for line in lines:
        writer.write(line)
    sent = b"a b\n" + long.replace(b"\n", b" ") + b"\n" + with_bytes + b"c\n"
    assert output.written == [b"a b\n"] and writer.waiting_bytes == len(sent) - 4
    while writer.waiting_bytes:
        writer.resume()
    assert b"".join(output.written) == sent and max(map(len, output.written)) == PIECE_BYTES
