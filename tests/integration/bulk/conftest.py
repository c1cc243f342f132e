import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

# A whole data set in small: two users, three videos, one of unknown length.
FILES: Mapping[str, Sequence[str]] = {
    "video_features_basic_pure.csv.gz": (
        "video_id,author_id,upload_dt,visible_status,video_duration,tag",
        '10,100,2022-04-10,0.0,20000.0,"1,2"',
        "11,100,2022-04-09,0.0,,",
        "12,101,2022-04-11,1.0,10000.0,3",
        "13,101,2022-04-11,0.0,ten,3",
    ),
    "user_features_pure.csv.gz": ("user_id,age", "1,30", "2,", ",50"),
    "history_users.csv.gz": (
        "user_id,history_len,last_time_ms",
        "1,4,1650600000000",
        "2,1,1650603600000",
        "9,1,1650603600000",
    ),
    "events.csv.gz": (
        "user_id,video_id,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,duration_ms",
        "1,10,1650812400000,1,1,0,0,0,0,1,40000,20000",
        "1,10,1650812400000,1,1,0,0,0,0,1,40000,20000",
        "2,10,1650812460000,0,0,0,0,0,0,0,10000,20000",
        "2,11,1650816000000,0,0,0,0,1,0,0,5000,0",
        "1,12,1650816060000,0,0,0,0,0,1,0,0,10000",
        "1,99,1650816060000,0,0,0,0,0,1,0,0,10000",
        "1,10,-4,0,0,0,0,0,1,0,0,10000",
        "1,10",
    ),
    "history.csv.gz": (
        "user_id,kind,back,video_id",
        "1,exposed,1,10",
        "1,exposed,0,12",
        "2,exposed,0,11",
        "1,like,0,10",
        "1,long_view,0,10",
        "1,long_view,x,10",
    ),
}


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A folder with a small KuaiRand data set, some rows bad."""
    directory = tmp_path / "kuairand"
    directory.mkdir()
    for name, lines in FILES.items():
        (directory / name).write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    return directory
