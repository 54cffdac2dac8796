#!/usr/bin/env python3
"""Writes seeds from the golden vectors, the sample configurations and the layout of the store's entries:
fuzz/seeds/<target>/<name>. Seeds named by a hash are finds of longer runs.
"""

import json
import pathlib

FUZZ = pathlib.Path(__file__).resolve().parent
# The order of CommandId::ALL, by which the pdu_body target picks a command_id.
COMMAND_IDS = sorted(
    [0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xB, 0x15, 0x21, 0x102, 0x103, 0x111, 0x112, 0x113]
    + [0x80000000 | id for id in
       [0, 0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0x15, 0x21, 0x103, 0x111, 0x112, 0x113]]
)


def write(target: str, name: str, octets: bytes) -> None:
    folder = FUZZ / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(octets)


# What a session's submissions get, how its wire is cut and what happens in between, by the first octet of the versions target.
SCRIPTS = [0b000, 0b001, 0b111, 0b00100_110]


def write_versions(vectors: list[dict]) -> None:
    """Each request of an ESME by itself, and all of them as one stream."""
    requests = []
    for vector in vectors:
        octets = bytes.fromhex(vector["hex"])
        is_frame = len(octets) >= 16 and int.from_bytes(octets[:4], "big") == len(octets)
        is_request = is_frame and octets[4] == 0 and not vector["name"].startswith(("bind", "spec", "unbind"))
        if is_request:
            requests.append(octets)
            write("versions", vector["name"], b"\0" + octets)
    for script in SCRIPTS:
        write("versions", f"all_requests_{script:02x}", bytes([script]) + b"".join(requests))


def write_config() -> None:
    """The default file piece by piece, with what it shows as comments; and the samples."""
    folder = FUZZ.parent
    default = (folder / "src" / "config" / "default.toml").read_text()
    for piece in default.split("\n\n"):
        lines = [line for line in piece.splitlines() if not line.startswith("#") or is_example(line.removeprefix("# "))]
        lines = [line.removeprefix("# ") for line in lines]
        name = next((line.strip("[]").replace(".", "_") for line in lines if line.startswith("[")), None)
        if name:
            write("config", name, "\n".join(lines).encode() + b"\n")
    for sample in sorted((folder / "config").glob("*.toml")):
        lines = [line for line in sample.read_text().splitlines() if line and not line.startswith("#")]
        write("config", f"sample_{sample.stem}", "\n".join(lines).encode() + b"\n")


def is_example(line: str) -> bool:
    key, is_pair, value = line.partition(" = ")
    return (bool(is_pair) and " " not in key and "..." not in value) or (line.startswith("[") and line.endswith("]"))


def write_store_recovery() -> None:
    """Scripts as the target reads them: an operation, then its octets."""
    put = bytes([0, 1, 7, 5]) + b"hello"
    update, remove, note, raw = bytes([5, 1, 8]), bytes([7, 1]), bytes([10]), bytes([11, 3, 1, 2, 3])
    end = bytes([9, 1, 2, 3])
    sealed, next_file, clean_stop = bytes([12, 0]), bytes([14, 0]), bytes([15, 0])
    write("store_recovery", "one_put", put + sealed)
    write("store_recovery", "life_of_a_message", put + sealed + update + sealed + remove + note + clean_stop)
    write("store_recovery", "end_of_a_message", put + sealed + end + sealed + put + update + remove + clean_stop)
    write("store_recovery", "two_segments", put + next_file + put.replace(b"\1", b"\2") + remove + clean_stop)
    write("store_recovery", "no_entry", put + raw + sealed + put + sealed)
    for name, kind in [
        ("oldest", 0), ("segment", 1), ("offset", 2), ("gap", 3), ("overlap", 4), ("unsynced", 5), ("entries", 6), ("torn", 7),
    ]:
        twisted = bytes([12, kind | 1 << 3])
        write("store_recovery", f"twisted_{name}", put + sealed + update + twisted + put + next_file + put + sealed)


def write_saved_index() -> None:
    """As the target reads them: the kind, then changes to the index that belongs there, each a place and an octet."""
    write("saved_index", "as_it_is", bytes([1]))
    write("saved_index", "none_at_all", bytes([0]) + b"SMX3")
    write("saved_index", "wrong_checksum", bytes([1, 60, 0, 7]))
    write("saved_index", "cut_off", bytes([3, 100, 0, 0xFF]))
    # Of the first block: its length, and what it says before and of the first segment.
    for name, at in [
        ("length", 28), ("last_frame", 32), ("next_offset", 36), ("oldest", 40), ("touched", 44), ("blocks", 48),
        ("file", 52), ("end", 56), ("last_lsn", 60), ("damaged", 68),
    ]:
        write("saved_index", f"changed_{name}", bytes([2, at, 0, 0x7F]))
        write("saved_index", f"changed_{name}_high", bytes([2, at + 3, 0, 0x7F]))
    # Where a body is said to be: its segment, offset and length; the counts as they are, or as they would be with that. The
    # store has five segments.
    for slot in range(6):
        place = 32 + 20 + 5 * 29 + 32 + 8 + 44 * slot + 32
        for name, at, octet in [
            ("next_segment", 0, 5), ("other_segment", 0, 3), ("offset", 5, 0x20), ("offset_high", 7, 0x3F), ("length", 8, 1),
            ("length_high", 9, 0x7F),
        ]:
            change = (place + at).to_bytes(2, "little") + bytes([octet])
            write("saved_index", f"slot_{slot}_{name}", bytes([2]) + change)
            write("saved_index", f"slot_{slot}_{name}_counted", bytes([6]) + change)
    # Further on, where slots and endings are.
    for at in range(200, 2_000, 60):
        write("saved_index", f"changed_at_{at}", bytes([2]) + at.to_bytes(2, "little") + bytes([0x7F]))


def main() -> None:
    vectors = json.loads((FUZZ.parent / "tests" / "smpp-vectors.json").read_text())
    for vector in vectors:
        octets = bytes.fromhex(vector["hex"])
        write("frames", vector["name"], octets)
        command_id = int.from_bytes(octets[4:8], "big")
        if command_id in COMMAND_IDS and len(octets) >= 16:
            selector = COMMAND_IDS.index(command_id).to_bytes(4, "big")
            write("pdu_body", vector["name"], selector + octets[16:])
        text = bytes.fromhex(vector["fields"].get("short_message_hex", ""))
        if text.startswith(b"id:"):
            write("receipt_text", vector["name"], text)
    write_versions(vectors)
    write_config()
    write_store_recovery()
    write_saved_index()


if __name__ == "__main__":
    main()
