#!/usr/bin/env python3
"""Writes the seed corpora from the golden vectors: fuzz/seeds/<target>/<vector name>."""

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


if __name__ == "__main__":
    main()
