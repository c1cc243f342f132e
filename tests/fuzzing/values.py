"""Hostile values: what people and programs put into fields that were meant for something else."""

import random
from typing import Final

# Each could break something that reads it: a log line, a terminal, a page, a path, a statement, a number.
TEXTS: Final = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\r\n",
    'u1\n{"event": "forged", "level": "info"}',
    "u1\r\nx-forged: 1\r\n\r\n",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "a\u2028b\u2029c\x85d",
    "\u202eabc\u202c",
    "\u2066abc\u2069",
    "\ufeffu1",
    "\ud7ff\uffff\U0010ffff",
    "e\u0301" * 40,
    '"}], "event": "forged"}',
    "%s%n%x%(process)s{0}{process}{{7*7}}${7*7}",
    "'; DROP TABLE videos; --",
    "' OR '1'='1",
    "../../../../etc/passwd",
    "..%2f..%2f",
    "<script>alert(1)</script>",
    "${jndi:ldap://127.0.0.1/a}",
    "-1",
    "1e400",
    "NaN",
    "Infinity",
    "-0",
    "0x10",
    "1_000",
    "\u0663",
    "true",
    "null",
    "[]",
    "{}",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2016-12-31T23:59:60Z",
    "2025-02-30T00:00:00Z",
    "2025-09-01T00:00:00",
    "2025-W01-1",
    "u" * 128,
    "u" * 129,
    "\U0001f600" * 64,
    "x" * 5_000,
)
INTEGERS: Final = (0, 1, -1, 2, 100, 101, 1_000, 1_001, 2**31 - 1, -(2**31), 2**53 + 1, 2**63 - 1, -(2**63))
NUMBERS: Final = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e-320,
    1e308,
    -1e308,
    float("inf"),
    float("-inf"),
    float("nan"),
    86_400.0,
    86_400.000001,
    2.0**53,
)
# Of timestamps: the ends of what protobuf, Python and 64 bits can hold.
SECONDS: Final = (0, -1, 253_402_300_799, 253_402_300_800, -62_135_596_800, -62_135_596_801, 2**63 - 1, -(2**63))
NANOS: Final = (0, 1, -1, 999_999_999, 1_000_000_000, 2**31 - 1, -(2**31))


def text(rng: random.Random) -> str:
    """Returns one of TEXTS, or random characters."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) for _ in range(rng.randrange(30)))
