// Where documents come from: text files, JSON lines and Parquet rows of texts or conversations, and
// directories of them. Text and JSON lines may be packed by gzip or zstd.
//
// Functions are thread-safe. Errors name the file and the line.
#ifndef CHERRY_CLIENT_DATA_TEXT_SOURCE_H_
#define CHERRY_CLIENT_DATA_TEXT_SOURCE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::client {

struct InputFile {
  enum class Kind { kText, kJsonLines, kParquet };
  std::string path;
  Kind kind = Kind::kText;
};

struct InputList {
  std::vector<InputFile> files;
  // Without .bin and .idx.
  std::vector<std::string> token_prefixes;
  // In directories: names that end in nothing we read.
  int64_t ignored = 0;
};

// Each input is a .txt, .jsonl or .parquet file, the first two also as .gz or .zst, a directory of them
// (searched to its leaves, hidden names left out, in the order of their paths), or a pair of token files
// given as PREFIX, PREFIX.bin or PREFIX.idx.
absl::StatusOr<InputList> ListInputs(const std::vector<std::string>& inputs);

struct TextOptions {
  // .jsonl and .parquet: the member or column that holds the text.
  std::string text_field = "text";
  // .txt: a line that is exactly this ends a document; none: one file is one document.
  std::optional<std::string> separator;
};

// What was read, for the manifest. Bytes and hash are those of the unpacked text; of Parquet, those of the
// file.
struct InputRecord {
  std::string path;
  int64_t bytes = 0;
  int64_t documents = 0;
  std::string hash;
};

// What the documents of a dataset are: texts or conversations, never both. Not thread-safe.
class DocumentForm {
 public:
  // INPUT_INVALID where `chat` is not what the first document was.
  absl::Status Check(const std::string& path, int64_t line, bool chat);
  // Of the first document; false before it.
  bool chat() const { return chat_; }

 private:
  std::string first_;  // Where it stood.
  bool chat_ = false;
};

using DocumentSink = std::function<absl::Status(absl::string_view document)>;

// Calls `sink` with each document in order: valid UTF-8, lines ended by '\n', no byte order mark; a
// conversation comes packed (chat.h). `form` is shared by the files of a dataset. A text file is read whole
// (at most 2 GiB), JSON lines one by one (at most 1 GiB each).
absl::StatusOr<InputRecord> ReadDocuments(const InputFile& file, const TextOptions& options,
                                          DocumentForm* form, const DocumentSink& sink);

// Offset of the first byte that is not part of well-formed UTF-8 (no surrogates, no overlong forms, at most
// U+10FFFF), npos when there is none.
size_t FirstInvalidUtf8(absl::string_view text);

// "\r\n" and "\r" become "\n".
void NormalizeNewlines(std::string* text);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_TEXT_SOURCE_H_
