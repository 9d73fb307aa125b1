"""Wrote the Parquet files beside it, with pyarrow: an encoding, a compression and a way to nest each."""

import pyarrow
import pyarrow.parquet

TEXTS = ["첫 문서", "a second\r\none", "the third 😀", "a second\r\none", "tail"] * 3
texts = pyarrow.table({"id": list(range(15)), "text": [f"{text} {i}" for i, text in enumerate(TEXTS)], "score": [0.5] * 15})
for compression in ("snappy", "gzip", "zstd", "none"):
    pyarrow.parquet.write_table(texts, f"texts-{compression}.parquet", compression=compression, row_group_size=4)
message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.large_string())])
chats = [[{"role": "user", "content": f"질문 {i}?"}, {"role": "assistant", "content": f"답 {i}."}] for i in range(6)]
pyarrow.parquet.write_table(pyarrow.table({"messages": pyarrow.array(chats, pyarrow.list_(message))}), "chats.parquet")
holes = pyarrow.table({"text": ["one", "two", None, "four"]})
pyarrow.parquet.write_table(holes, "holes.parquet")
