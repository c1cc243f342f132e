"""What a model bundle holds, and the rules that its arrays must keep.

A bundle is data only: arrays of numbers and bytes, no pickle. The trainer makes it, the scorer ranks with it;
`runtime.models.bundle_files` writes and reads it.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

FORMAT_VERSION: Final = 4

# Columns of a factor row before the embedding: the biases fold in, so that a score is one dot product.
BIAS_COLUMNS: Final = 2

# A rating (0 to 10) from here on says liked, up to there disliked: the same to the training and to the ranking.
LIKED_RATING: Final = 7.0
DISLIKED_RATING: Final = 3.0

# Written where the catalogue does not know.
UNKNOWN_CODE: Final = -1
UNKNOWN_DURATION_S: Final = -1.0
UNKNOWN_TIME_MS: Final = -1

# No number of a model is beyond this: products and sums of numbers up to it stay finite.
MOST: Final = 1e9

# So many texts of a table are checked at once.
_TEXTS_AT_ONCE: Final = 10_000

# Names and counts in a manifest: what is shown in logs, metrics and answers is short.
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]

Array: TypeAlias = npt.NDArray[Any]
Floats: TypeAlias = npt.NDArray[np.float32]
Codes: TypeAlias = npt.NDArray[np.int32]
Offsets: TypeAlias = npt.NDArray[np.int64]
Texts: TypeAlias = npt.NDArray[np.bytes_]


class BundleFault(StrEnum):
    """Why a bundle is refused."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    TOO_LARGE = "too_large"
    BAD_MANIFEST = "bad_manifest"
    BAD_SIGNATURE = "bad_signature"
    BAD_HASH = "bad_hash"
    BAD_ARRAYS = "bad_arrays"
    BAD_INDEX = "bad_index"
    NOT_FINITE = "not_finite"
    OTHER_CONTRACT = "other_contract"
    SELF_TEST = "self_test"


class BundleError(Exception):
    """A bundle that must not be used; nothing of it was. The trainer publishes a good one.

    Args:
        fault: Which rule it breaks.
        message: What was found.
    """

    def __init__(self, fault: BundleFault, message: str) -> None:
        super().__init__(f"{fault}: {message}")
        self.fault = fault


class ArrayInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shape and dtype of one array, as the manifest states them."""

    shape: Annotated[tuple[Count, ...], msgspec.Meta(max_length=2)]
    dtype: Annotated[str, msgspec.Meta(max_length=8)]


class IndexInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The index that finds the best of many videos without a look at all of them, as the manifest states it.

    Args:
        type: What it is, in faiss' words, such as "IVF1024,SQ8".
        probes: How many of its lists a ranking looks at.
        recall_at_50: Share of the exact best 50 that it finds, mean over users, measured before it was published.
        size_bytes: Size of its file.
        sha256: Hash of its file, hexadecimal.
    """

    type: Name
    probes: Count
    recall_at_50: Annotated[float, msgspec.Meta(ge=0, le=1)]
    size_bytes: Count = 0
    sha256: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed: where a model comes from, and the hash of its arrays. Read from a file, it keeps these bounds.

    Args:
        format_version: Version of this format.
        model_version: Name of the model; also of its folder.
        algorithm: Such as "lightfm-warp".
        contract: Contract release of the trainer.
        created_time: When its training ended, UTC.
        data_from: Time of the oldest interaction it was trained on.
        data_until: Time of the newest one.
        seed: Seed of the fit.
        threads: Threads of the fit; only with 1 does a seed give the same model again.
        dimensions: Length of an embedding, without the bias columns.
        params: Settings of the training.
        metrics: What its evaluation measured.
        arrays: Shape and dtype of each array.
        arrays_bytes: Size of the arrays' file.
        arrays_sha256: Hash of the arrays' file, hexadecimal.
        index: The index beside the arrays; None: every ranking looks at all videos.
    """

    format_version: Count
    model_version: Name
    algorithm: Name
    contract: Name
    created_time: Time
    data_from: Time
    data_until: Time
    seed: Count
    threads: Count
    dimensions: Count
    params: Annotated[dict[Name, float | Count | Name], msgspec.Meta(max_length=64)]
    metrics: Annotated[dict[Name, float], msgspec.Meta(max_length=64)]
    arrays: Annotated[dict[Name, ArrayInfo], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=dict)
    arrays_bytes: Count = 0
    arrays_sha256: Annotated[str, msgspec.Meta(max_length=64)] = ""
    index: IndexInfo | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelArrays:
    """The numbers of a model. `n` users, `m` videos, `d` dimensions; text tables are sorted UTF-8 and unique.

    Args:
        user_ids: bytes, shape (n,), row = user_index.
        video_ids: bytes, shape (m,), row = item_index.
        user_factors: float32, shape (n, d + 2), columns (1, bias, embedding).
        item_factors: float32, shape (m, d + 2), columns (bias, 1, embedding); score = user row @ item row. Stored by
            columns unless there is an index: all scores at once take half the time.
        item_prior: float32, shape (m,); added to every user's score.
        history_factors: float32, shape (m, d + 2), columns (0, bias, embedding): what a video that a user liked says
            of the user. Zeros: nothing.
        history_offsets: int64, shape (n + 1,): a user is described by
            `history_items[offsets[u]:offsets[u + 1]]`, newest first; each counts by 1 / sqrt(their number).
        history_items: int32 item_index.
        features: bytes; what may be known of a user beside what the user did, such as `country=AT`.
        feature_factors: float32, shape (len(features), d + 2), columns (0, bias, embedding): what each says of a user
            whom the model does not know, where it counts by 1 / sqrt(the number of those that are known of the user).
        seen_offsets: int64, shape (n + 1,): a user's seen videos are `seen_items[offsets[u]:offsets[u + 1]]`.
        seen_items: int32 item_index of each interaction trained on.
        authors: bytes; the authors' ids.
        item_author: int32, shape (m,), row of `authors`, or UNKNOWN_CODE.
        languages: bytes; language codes in lower case.
        item_language: int32, shape (m,), row of `languages`, or UNKNOWN_CODE.
        countries: bytes; country codes in upper case.
        item_country: int32, shape (m,), row of `countries`, or UNKNOWN_CODE.
        tags: bytes; the tags.
        tag_offsets: int64, shape (m + 1,): a video's tags are `item_tags[offsets[i]:offsets[i + 1]]`, the leading one
            first.
        item_tags: int32 row of `tags`.
        item_duration_s: float32, shape (m,), seconds, or UNKNOWN_DURATION_S.
        item_published_ms: int64, shape (m,), epoch milliseconds, or UNKNOWN_TIME_MS.
        item_active: bool, shape (m,); an inactive video is never ranked.
    """

    user_ids: Texts
    video_ids: Texts
    user_factors: Floats
    item_factors: Floats
    item_prior: Floats
    history_factors: Floats
    history_offsets: Offsets
    history_items: Codes
    features: Texts
    feature_factors: Floats
    seen_offsets: Offsets
    seen_items: Codes
    authors: Texts
    item_author: Codes
    languages: Texts
    item_language: Codes
    countries: Texts
    item_country: Codes
    tags: Texts
    tag_offsets: Offsets
    item_tags: Codes
    item_duration_s: Floats
    item_published_ms: Offsets
    item_active: npt.NDArray[np.bool_]

    def history_of(self, user_index: int) -> Codes:
        """Returns the item_index of the videos that describe a user, newest first."""
        return self.history_items[self.history_offsets[user_index] : self.history_offsets[user_index + 1]]

    def seen_of(self, user_index: int) -> Codes:
        """Returns the item_index of what a user has seen."""
        return self.seen_items[self.seen_offsets[user_index] : self.seen_offsets[user_index + 1]]

    def named(self) -> dict[str, Array]:
        """Returns the arrays by name, in the order of the file."""
        return {name: getattr(self, name) for name in ARRAY_NAMES}


ARRAY_NAMES: Final = tuple(ModelArrays.__annotations__)


@dataclass(frozen=True, slots=True, eq=False)
class ModelBundle:
    """A model that kept every rule: safe to rank with.

    Args:
        manifest: What is known of it.
        arrays: Its numbers.
        index: The file of its index, as it was signed; None: it has none, or it was opened already.
    """

    manifest: Manifest
    arrays: ModelArrays
    index: bytes | None = None


def text_table(texts: Sequence[str]) -> Texts:
    """Returns the distinct texts as a sorted table of UTF-8 bytes."""
    encoded = [text.encode() for text in texts]
    return np.unique(np.array(encoded or [b""], dtype=np.bytes_))[: None if encoded else 0]


def find_text(table: Texts, wanted: str) -> int:
    """Returns the row of one wanted text, or UNKNOWN_CODE: what `find_texts` does, four times as fast for one."""
    sought = wanted.encode()
    row = bisect_left(table, sought)
    return row if row < len(table) and table[row] == sought else UNKNOWN_CODE


def find_texts(table: Texts, wanted: Sequence[str]) -> Codes:
    """Returns the row of each wanted text, or UNKNOWN_CODE.

    Args:
        table: A sorted text table.
        wanted: What to look up.
    """
    return find_text_rows(table, np.array([text.encode() for text in wanted], dtype=np.bytes_))


def find_text_rows(table: Texts, sought: Texts) -> Codes:
    """Returns the row of each text of an array, or UNKNOWN_CODE; as `find_texts`."""
    if not len(table) or not len(sought):
        return np.full(len(sought), UNKNOWN_CODE, np.int32)
    rows = np.searchsorted(table, sought)
    rows[rows == len(table)] = 0
    return np.where(table[rows] == sought, rows, UNKNOWN_CODE).astype(np.int32)


def check_arrays(named: Mapping[str, Array], dimensions: int) -> ModelArrays:
    """Holds arrays against every rule of the format.

    Args:
        named: The arrays by name.
        dimensions: Length of an embedding.

    Raises:
        BundleError: BAD_ARRAYS or NOT_FINITE, naming the array.
    """
    if set(named) != set(ARRAY_NAMES):
        raise _bad(f"arrays {sorted(set(named) ^ set(ARRAY_NAMES))} are missing or unknown")
    arrays = ModelArrays(**named)
    _check_shapes(arrays, dimensions)
    for name in ("user_factors", "item_factors", "item_prior", "history_factors", "feature_factors", "item_duration_s"):
        _check_numbers(name, named[name])
    for name in ("user_ids", "video_ids", "features", "authors", "languages", "countries", "tags"):
        _check_texts(name, named[name])
    _check_lists("seen_offsets", arrays.seen_offsets, len(arrays.seen_items))
    _check_lists("history_offsets", arrays.history_offsets, len(arrays.history_items))
    _check_lists("tag_offsets", arrays.tag_offsets, len(arrays.item_tags))
    _check_codes("seen_items", arrays.seen_items, 0, len(arrays.video_ids))
    _check_codes("history_items", arrays.history_items, 0, len(arrays.video_ids))
    _check_codes("item_tags", arrays.item_tags, 0, len(arrays.tags))
    _check_codes("item_author", arrays.item_author, UNKNOWN_CODE, len(arrays.authors))
    _check_codes("item_language", arrays.item_language, UNKNOWN_CODE, len(arrays.languages))
    _check_codes("item_country", arrays.item_country, UNKNOWN_CODE, len(arrays.countries))
    return arrays


def _check_shapes(arrays: ModelArrays, dimensions: int) -> None:
    users, videos, columns = len(arrays.user_ids), len(arrays.video_ids), dimensions + BIAS_COLUMNS
    if not videos or dimensions < 1:
        raise _bad("a model needs at least one video and one dimension")
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "user_ids": ((users,), "S"),
        "video_ids": ((videos,), "S"),
        "user_factors": ((users, columns), "<f4"),
        "item_factors": ((videos, columns), "<f4"),
        "item_prior": ((videos,), "<f4"),
        "history_factors": ((videos, columns), "<f4"),
        "history_offsets": ((users + 1,), "<i8"),
        "history_items": ((arrays.history_items.size,), "<i4"),
        "features": ((arrays.features.size,), "S"),
        "feature_factors": ((arrays.features.size, columns), "<f4"),
        "seen_offsets": ((users + 1,), "<i8"),
        "seen_items": ((arrays.seen_items.size,), "<i4"),
        "authors": ((arrays.authors.size,), "S"),
        "item_author": ((videos,), "<i4"),
        "languages": ((arrays.languages.size,), "S"),
        "item_language": ((videos,), "<i4"),
        "countries": ((arrays.countries.size,), "S"),
        "item_country": ((videos,), "<i4"),
        "tags": ((arrays.tags.size,), "S"),
        "tag_offsets": ((videos + 1,), "<i8"),
        "item_tags": ((arrays.item_tags.size,), "<i4"),
        "item_duration_s": ((videos,), "<f4"),
        "item_published_ms": ((videos,), "<i8"),
        "item_active": ((videos,), "|b1"),
    }
    for name, (shape, dtype) in expected.items():
        array = getattr(arrays, name)
        kind = array.dtype.kind if dtype == "S" else array.dtype.str
        if array.shape != shape or kind != dtype:
            raise _bad(f"{name} is {array.dtype.str}{array.shape}, not {dtype}{shape}")


def _check_numbers(name: str, numbers: Floats) -> None:
    # The least and the greatest tell of all, NaN included, without an array of answers as large as a model's.
    if numbers.size and not -MOST <= numbers.min() <= numbers.max() <= MOST:
        raise BundleError(BundleFault.NOT_FINITE, f"{name} holds a number that is not finite, or beyond {MOST:g}")


def _check_texts(name: str, table: Texts) -> None:
    if not (table[1:] > table[:-1]).all():
        raise _bad(f"{name} is not sorted and unique")
    for start in range(0, len(table), _TEXTS_AT_ONCE):
        texts = table[start : start + _TEXTS_AT_ONCE].tolist()
        try:
            # Joined, one that ends in the midst of a character does not go on in the next.
            lines = b"\n".join(texts).decode().count("\n") + 1
        except UnicodeDecodeError as error:
            raise _bad(f"{name} is not UTF-8") from error
        if lines != len(texts):
            raise _bad(f"{name} holds a line feed")


def _check_lists(name: str, offsets: Offsets, length: int) -> None:
    if offsets[0] != 0 or offsets[-1] != length or (np.diff(offsets) < 0).any():
        raise _bad(f"{name} does not divide its list")


def _check_codes(name: str, codes: Codes, low: int, high: int) -> None:
    if len(codes) and (codes.min() < low or codes.max() >= high):
        raise _bad(f"{name} points outside of its table")


def _bad(message: str) -> BundleError:
    return BundleError(BundleFault.BAD_ARRAYS, message)
