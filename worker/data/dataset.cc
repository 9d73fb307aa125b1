#include "worker/data/dataset.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/spec.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::trainer {
namespace {

constexpr char kRemedy[] = "restore the file, or prepare and register the dataset again";

absl::Status Changed(absl::string_view field, absl::string_view what) {
  return Error(absl::StatusCode::kFailedPrecondition, "DATASET_CHANGED", field,
               absl::StrCat(field, ": ", what), kRemedy);
}

absl::StatusOr<v1::Split> FindSplit(const v1::Dataset& dataset, const std::string& name,
                                    absl::string_view field) {
  for (const v1::Split& split : dataset.splits()) {
    if (split.name() == name) {
      return split;
    }
  }
  return InvalidField("SPLIT_NOT_FOUND", field,
                      absl::StrCat(field, ": dataset ", dataset.name(), " has no split '", name, "'"),
                      "cherry data inspect lists its splits");
}

absl::Status CheckHash(const std::string& path, const std::string& expected, absl::string_view field) {
  if (expected.empty()) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::string hash, HashFile(path));
  if (hash != expected) {
    return Changed(
        field, absl::StrCat(path, " has changed: its checksum ", hash, " is not the registered ", expected));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenWindows>> TokenWindows::Open(const std::string& data_root,
                                                                 const v1::Dataset& dataset,
                                                                 const std::string& reference,
                                                                 absl::string_view field,
                                                                 int64_t sequence_length) {
  ASSIGN_OR_RETURN(const SplitRef ref, ParseSplitRef(reference, field));
  std::unique_ptr<TokenWindows> windows(new TokenWindows);
  windows->field_ = std::string(field);
  ASSIGN_OR_RETURN(windows->split_, FindSplit(dataset, ref.split, field));
  absl::StatusOr<std::string> directory = ResolveBeneath(data_root, dataset.path(), field);
  if (!directory.ok()) {
    return Error(directory.status().code(), "DATASET_UNREADABLE", field,
                 absl::StrCat(field, ": dataset ", dataset.name(), ": ", directory.status().message()),
                 "mount the data root of the cluster on this worker");
  }
  windows->prefix_ = absl::StrCat(*directory, "/", ref.split);
  const std::string bin = windows->prefix_ + ".bin";
  struct stat info;
  if (stat(bin.c_str(), &info) != 0) {
    return Changed(field, ErrnoError(errno, bin).message());
  }
  const v1::Split& split = windows->split_;
  if (split.bin_bytes() > 0 && info.st_size != split.bin_bytes()) {
    return Changed(
        field, absl::StrCat(bin, " has ", info.st_size, " bytes, not the registered ", split.bin_bytes()));
  }
  absl::StatusOr<std::unique_ptr<TokenFile>> file = TokenFile::Open(windows->prefix_);
  if (!file.ok()) {
    return Changed(field, file.status().message());
  }
  windows->file_ = *std::move(file);
  windows->sequence_length_ = sequence_length;
  windows->windows_ = (windows->file_->tokens() - 1) / sequence_length;
  if (windows->windows_ < 1) {
    return InvalidField("DATASET_TOO_SMALL", field,
                        absl::StrCat(field, ": ", reference, " has ", windows->file_->tokens(),
                                     " tokens, fewer than the ", sequence_length + 1, " of one sequence"),
                        "use a smaller train.sequence_length, or more text");
  }
  return windows;
}

TokenWindows::~TokenWindows() {
  if (labels_fd_ >= 0) {
    close(labels_fd_);
  }
}

absl::Status TokenWindows::OpenLabels() {
  const std::string path = prefix_ + kLabelsSuffix;
  if (split_.labels_hash().empty()) {
    return InvalidField("LABELS_MISSING", field_, absl::StrCat(field_, ": the split has no labels"),
                        "prepare the dataset again with this version");
  }
  labels_fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (labels_fd_ < 0 || fstat(labels_fd_, &info) != 0) {
    return Changed(field_, ErrnoError(errno, path).message());
  }
  if (info.st_size != file_->tokens()) {
    return Changed(field_, absl::StrCat(path, " has ", info.st_size, " bytes, not one for each of ",
                                        file_->tokens(), " tokens"));
  }
  return absl::OkStatus();
}

absl::Status TokenWindows::ReadLabels(int64_t window, absl::Span<uint8_t> out) const {
  const auto offset = static_cast<off_t>(window * sequence_length_);
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        pread(labels_fd_, out.data() + done, out.size() - done, offset + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      const std::string path = prefix_ + kLabelsSuffix;
      return count < 0 ? ErrnoError(errno, path)
                       : absl::DataLossError(absl::StrCat(path, ": it has become shorter"));
    }
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

void TokenWindows::Read(int64_t window, absl::Span<int64_t> out) const {
  file_->Read(window * sequence_length_, out);
}

absl::Status TokenWindows::CheckHashes() const {
  RETURN_IF_ERROR(CheckHash(prefix_ + ".bin", split_.bin_hash(), field_));
  RETURN_IF_ERROR(CheckHash(prefix_ + ".idx", split_.idx_hash(), field_));
  return has_labels() ? CheckHash(prefix_ + kLabelsSuffix, split_.labels_hash(), field_) : absl::OkStatus();
}

}  // namespace cherry::trainer
