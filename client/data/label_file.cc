#include "client/data/label_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr uint8_t kKnownBits = kCategoryBits | kSpanStart | kResponse;

struct Closer {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, Closer>;

absl::StatusOr<int64_t> LabelBytes(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return ErrnoError(errno, path);
  }
  return info.st_size;
}

absl::Status Damaged(absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "DATASET_CHANGED", "", what,
               "copy the dataset again or repeat `cherry data prepare --force`");
}

}  // namespace

absl::StatusOr<std::unique_ptr<LabelFileWriter>> LabelFileWriter::Create(const std::string& prefix) {
  const std::string path = prefix + kLabelsSuffix;
  FILE* const file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return ErrnoError(errno, path);
  }
  return std::unique_ptr<LabelFileWriter>(new LabelFileWriter(path, file));
}

LabelFileWriter::~LabelFileWriter() {
  if (file_ != nullptr) {
    std::fclose(file_);
  }
}

absl::Status LabelFileWriter::Add(absl::Span<const uint8_t> labels) {
  if (std::fwrite(labels.data(), 1, labels.size(), file_) != labels.size()) {
    return ErrnoError(errno, path_);
  }
  return absl::OkStatus();
}

absl::Status LabelFileWriter::Finish() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) {
    return ErrnoError(errno, path_);
  }
  FILE* const file = file_;
  file_ = nullptr;
  return std::fclose(file) == 0 ? absl::OkStatus() : ErrnoError(errno, path_);
}

void CountLabels(absl::Span<const uint8_t> labels, v1::Split* split) {
  int64_t categories[kCategoryBits + 1] = {};
  int64_t responses = 0;
  for (const uint8_t label : labels) {
    ++categories[label & kCategoryBits];
    responses += (label & kResponse) != 0 ? 1 : 0;
  }
  const auto of = [&](Category category) { return categories[static_cast<size_t>(category)]; };
  split->set_fact_tokens(split->fact_tokens() + of(Category::kFact));
  split->set_reason_tokens(split->reason_tokens() + of(Category::kReason));
  split->set_correct_tokens(split->correct_tokens() + of(Category::kCorrect));
  split->set_response_tokens(split->response_tokens() + responses);
}

absl::Status MeasureLabels(const std::string& prefix, v1::Split* split) {
  const std::string path = prefix + kLabelsSuffix;
  ASSIGN_OR_RETURN(const int64_t bytes, LabelBytes(path));
  if (bytes != split->tokens()) {
    return InvalidField("LABELS_MISMATCH", "INPUT",
                        absl::StrCat(path, ": ", bytes, " labels for ", split->tokens(), " tokens"),
                        "give the labels that were made with these tokens, or move them away");
  }
  constexpr int64_t kPiece = 1 << 20;
  for (int64_t begin = 0; begin < bytes; begin += kPiece) {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> labels,
                     ReadLabels(prefix, begin, std::min(kPiece, bytes - begin)));
    const auto bad =
        std::find_if(labels.begin(), labels.end(), [](uint8_t label) { return (label & ~kKnownBits) != 0; });
    if (bad != labels.end()) {
      return InvalidField("LABELS_INVALID", "INPUT",
                          absl::StrCat(path, ": byte ", begin + (bad - labels.begin()), " is ",
                                       static_cast<int>(*bad), ", which is no label"),
                          "see docs/formats.md for what a label means, or move the file away");
    }
    CountLabels(labels, split);
  }
  ASSIGN_OR_RETURN(*split->mutable_labels_hash(), HashFile(path));
  return absl::OkStatus();
}

absl::Status CheckLabels(const std::string& prefix, const v1::Split& split, bool hash) {
  if (split.labels_hash().empty()) {
    return absl::OkStatus();
  }
  const std::string path = prefix + kLabelsSuffix;
  const absl::StatusOr<int64_t> bytes = LabelBytes(path);
  if (!bytes.ok() || *bytes != split.tokens()) {
    return Damaged(absl::StrCat(path, ": ", bytes.ok() ? absl::StrCat(*bytes, " labels") : "not there",
                                "; the manifest names ", split.tokens(), " tokens"));
  }
  if (hash) {
    ASSIGN_OR_RETURN(const std::string found, HashFile(path));
    if (found != split.labels_hash()) {
      return Damaged(
          absl::StrCat(path, ": checksum ", found, " is not the manifest's ", split.labels_hash()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> ReadLabels(const std::string& prefix, int64_t begin, int64_t count) {
  const std::string path = prefix + kLabelsSuffix;
  const File file(std::fopen(path.c_str(), "re"));
  if (file == nullptr || fseeko(file.get(), begin, SEEK_SET) != 0) {
    return ErrnoError(errno, path);
  }
  std::vector<uint8_t> labels(static_cast<size_t>(count));
  if (std::fread(labels.data(), 1, labels.size(), file.get()) != labels.size()) {
    return Damaged(absl::StrCat(path, ": ends before label ", begin + count));
  }
  return labels;
}

}  // namespace cherry::client
