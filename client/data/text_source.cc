#include "client/data/text_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/data/byte_source.h"
#include "client/data/json_document.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr int64_t kMaxTextBytes = int64_t{2} << 30;
constexpr size_t kMaxLineBytes = size_t{1} << 30;
constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

absl::Status NotUtf8(const std::string& path, int64_t line, int64_t offset) {
  return BadInput(path, line, absl::StrCat("not UTF-8 at byte ", offset, " of the file"),
                  "convert the file, e.g. iconv -f CP949 -t UTF-8");
}

bool IsFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::optional<InputFile::Kind> KindOf(absl::string_view path) {
  if (absl::EndsWith(path, ".parquet")) {
    return InputFile::Kind::kParquet;
  }
  const absl::string_view name = UnpackedName(path);
  if (absl::EndsWith(name, ".txt")) {
    return InputFile::Kind::kText;
  }
  if (absl::EndsWith(name, ".jsonl")) {
    return InputFile::Kind::kJsonLines;
  }
  return std::nullopt;
}

absl::Status ListTree(const std::string& directory, InputList* list) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> paths;
  fs::recursive_directory_iterator entry(directory, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    const std::string name = entry->path().filename().string();
    if (absl::StartsWith(name, ".")) {
      entry.disable_recursion_pending();
    } else if (entry->is_regular_file(error)) {
      paths.push_back(entry->path().string());
    }
    if (!error) {
      entry.increment(error);
    }
  }
  if (error) {
    return ErrnoError(error.value(), directory);
  }
  std::sort(paths.begin(), paths.end());
  for (std::string& path : paths) {
    const auto kind = KindOf(path);
    if (kind.has_value()) {
      list->files.push_back({std::move(path), *kind});
    } else {
      ++list->ignored;
    }
  }
  return absl::OkStatus();
}

// Emits the documents of a text: all of it, or what stands between separator lines.
absl::Status EmitText(absl::string_view text, const TextOptions& options, InputRecord* record,
                      const DocumentSink& sink) {
  if (!options.separator.has_value()) {
    ++record->documents;
    return sink(text);
  }
  size_t document = 0;
  for (size_t line = 0; line <= text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    const bool last = end == text.size();
    const bool separator = text.substr(line, end - line) == *options.separator;
    if (separator || last) {
      const size_t stop = separator ? line : end;
      if (stop > document) {
        ++record->documents;
        RETURN_IF_ERROR(sink(text.substr(document, stop - document)));
      }
      document = end + 1;
    }
    line = end + 1;
  }
  return absl::OkStatus();
}

absl::StatusOr<InputRecord> ReadText(const std::string& path, const TextOptions& options, DocumentForm* form,
                                     const DocumentSink& sink) {
  RETURN_IF_ERROR(form->Check(path, 1, false));
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, ByteSource::Open(path));
  absl::StatusOr<std::string> text = ReadAll(source.get(), kMaxTextBytes);
  if (absl::IsOutOfRange(text.status())) {
    return InvalidField("INPUT_TOO_LARGE", "INPUT", absl::StrCat(path, ": larger than 2 GiB"),
                        "split it, or give its documents as .jsonl");
  }
  RETURN_IF_ERROR(text.status());
  InputRecord record{path, static_cast<int64_t>(text->size()), 0, HashBytes(*text)};
  const size_t bad = FirstInvalidUtf8(*text);
  if (bad != std::string::npos) {
    const auto line = std::count(text->begin(), text->begin() + static_cast<std::ptrdiff_t>(bad), '\n') + 1;
    return NotUtf8(path, line, static_cast<int64_t>(bad));
  }
  NormalizeNewlines(&*text);
  absl::string_view body = *text;
  absl::ConsumePrefix(&body, kByteOrderMark);
  RETURN_IF_ERROR(EmitText(body, options, &record, sink));
  return record;
}

// One document as JSON: a line of a file, or a row.
absl::Status EmitJson(const std::string& path, int64_t number, absl::string_view json,
                      const TextOptions& options, DocumentForm* form, const DocumentSink& sink) {
  ASSIGN_OR_RETURN(const JsonDocument document, ParseJsonDocument(path, number, json, options.text_field));
  RETURN_IF_ERROR(form->Check(path, number, document.chat));
  return sink(document.content);
}

absl::StatusOr<InputRecord> ReadJsonLines(const std::string& path, const TextOptions& options,
                                          DocumentForm* form, const DocumentSink& sink) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, ByteSource::Open(path));
  LineReader lines(source.get());
  InputRecord record;
  record.path = path;
  Hasher hasher;
  for (int64_t number = 1;; ++number) {
    ASSIGN_OR_RETURN(absl::string_view line, lines.Next(kMaxLineBytes));
    if (line.empty()) {
      break;
    }
    hasher.Update(line.data(), line.size());
    const int64_t offset = record.bytes;
    record.bytes += static_cast<int64_t>(line.size());
    if (line.size() > kMaxLineBytes) {
      return BadInput(path, number, "a line larger than 1 GiB", "split the document");
    }
    if (const size_t bad = FirstInvalidUtf8(line); bad != absl::string_view::npos) {
      return NotUtf8(path, number, offset + static_cast<int64_t>(bad));
    }
    if (number == 1) {
      absl::ConsumePrefix(&line, kByteOrderMark);
    }
    if (line.find_first_not_of(" \t\r\n") != absl::string_view::npos) {
      ++record.documents;
      RETURN_IF_ERROR(EmitJson(path, number, line, options, form, sink));
    }
  }
  record.hash = hasher.Hex();
  return record;
}

absl::StatusOr<InputRecord> ReadParquet(const std::string& path, const TextOptions& options,
                                        DocumentForm* form, const DocumentSink& sink) {
  InputRecord record;
  record.path = path;
  ASSIGN_OR_RETURN(record.hash, HashFile(path));
  struct stat info;
  record.bytes = stat(path.c_str(), &info) == 0 ? info.st_size : 0;
  absl::StatusOr<ParquetRows> rows = ParquetRows::Open(path, {options.text_field, kMessagesMember});
  if (!rows.ok()) {
    return Annotate(rows.status(), path);
  }
  for (int64_t number = 1;; ++number) {
    const absl::StatusOr<absl::optional<std::string>> row = rows->Next();
    if (!row.ok()) {
      return Annotate(row.status(), absl::StrCat(path, ":", number));
    }
    if (!row->has_value()) {
      return record;
    }
    ++record.documents;
    RETURN_IF_ERROR(EmitJson(path, number, **row, options, form, sink));
  }
}

// Length of the well-formed character at `at`, 0 when there is none.
size_t CharacterBytes(const unsigned char* at, size_t left) {
  const auto tail = [&](size_t i) { return i < left && (at[i] & 0xC0) == 0x80; };
  if (at[0] < 0x80) {
    return 1;
  }
  if (at[0] >= 0xC2 && at[0] <= 0xDF) {
    return tail(1) ? 2 : 0;
  }
  if (at[0] >= 0xE0 && at[0] <= 0xEF) {
    if (!tail(1) || !tail(2) || (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xED && at[1] > 0x9F)) {
      return 0;
    }
    return 3;
  }
  if (at[0] >= 0xF0 && at[0] <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3) || (at[0] == 0xF0 && at[1] < 0x90) ||
        (at[0] == 0xF4 && at[1] > 0x8F)) {
      return 0;
    }
    return 4;
  }
  return 0;
}

}  // namespace

size_t FirstInvalidUtf8(absl::string_view text) {
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  for (size_t i = 0; i < text.size();) {
    uint64_t eight;
    if (i + sizeof(eight) <= text.size()) {
      std::memcpy(&eight, data + i, sizeof(eight));
      if ((eight & 0x8080808080808080ull) == 0) {
        i += sizeof(eight);
        continue;
      }
    }
    const size_t bytes = CharacterBytes(data + i, text.size() - i);
    if (bytes == 0) {
      return i;
    }
    i += bytes;
  }
  return absl::string_view::npos;
}

void NormalizeNewlines(std::string* text) {
  size_t out = text->find('\r');
  if (out == std::string::npos) {
    return;
  }
  for (size_t in = out; in < text->size(); ++in) {
    char c = (*text)[in];
    if (c == '\r') {
      c = '\n';
      if (in + 1 < text->size() && (*text)[in + 1] == '\n') {
        ++in;
      }
    }
    (*text)[out++] = c;
  }
  text->resize(out);
}

absl::StatusOr<InputList> ListInputs(const std::vector<std::string>& inputs) {
  InputList list;
  for (const std::string& input : inputs) {
    std::string prefix = input;
    for (const char* suffix : {".bin", ".idx"}) {
      prefix = std::string(absl::StripSuffix(prefix, suffix));
    }
    struct stat info;
    const bool there = stat(input.c_str(), &info) == 0;
    if (there && S_ISDIR(info.st_mode)) {
      RETURN_IF_ERROR(ListTree(input, &list));
    } else if (there && S_ISREG(info.st_mode) && KindOf(input).has_value()) {
      list.files.push_back({input, *KindOf(input)});
    } else if (IsFile(prefix + ".bin") && IsFile(prefix + ".idx")) {
      list.token_prefixes.push_back(prefix);
    } else if (!there) {
      return Error(
          absl::StatusCode::kNotFound, "INPUT_NOT_FOUND", "INPUT", absl::StrCat(input, ": no such file"),
          "give .txt, .jsonl or .parquet files (the first two also .gz or .zst), directories of them, or the "
          "prefix of a .bin and .idx");
    } else {
      return InvalidField(
          "INPUT_UNKNOWN", "INPUT",
          absl::StrCat(input, ": neither .txt, .jsonl, .parquet, a directory, nor a .bin with its .idx"),
          "rename or convert it");
    }
  }
  return list;
}

absl::Status DocumentForm::Check(const std::string& path, int64_t line, bool chat) {
  if (first_.empty()) {
    first_ = absl::StrCat(path, ":", line);
    chat_ = chat;
  }
  if (chat == chat_) {
    return absl::OkStatus();
  }
  return BadInput(path, line,
                  absl::StrCat(chat ? "a conversation" : "a text", ", where ", first_, " is ",
                               chat_ ? "a conversation" : "a text"),
                  "prepare conversations and texts as two datasets");
}

absl::StatusOr<InputRecord> ReadDocuments(const InputFile& file, const TextOptions& options,
                                          DocumentForm* form, const DocumentSink& sink) {
  switch (file.kind) {
    case InputFile::Kind::kParquet:
      return ReadParquet(file.path, options, form, sink);
    case InputFile::Kind::kJsonLines:
      return ReadJsonLines(file.path, options, form, sink);
    default:
      return ReadText(file.path, options, form, sink);
  }
}

}  // namespace cherry::client
