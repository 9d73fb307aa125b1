#include "coordinator/api/data_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/token_labels.h"

namespace cherry::coordinator {
namespace {

absl::Status CheckLength(int directory, const std::string& path, const std::string& file, int64_t bytes,
                         absl::string_view field) {
  struct stat info;
  const bool there =
      fstatat(directory, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode);
  if (there && info.st_size == bytes) {
    return absl::OkStatus();
  }
  return Error(
      absl::StatusCode::kDataLoss, "DATASET_DAMAGED", field,
      absl::StrCat(field, ": ", path, "/", file, " has ", there ? info.st_size : 0, " bytes, not ", bytes),
      "prepare the dataset again with 'cherry data prepare --force'");
}

absl::Status CheckSplit(int directory, const v1::Dataset& dataset, const v1::Split& split,
                        absl::string_view field) {
  // It becomes part of a path.
  RETURN_IF_ERROR(ValidateName(split.name(), "dataset.splits.name"));
  if (split.bin_bytes() > 0) {
    RETURN_IF_ERROR(CheckLength(directory, dataset.path(), split.name() + ".bin", split.bin_bytes(), field));
  }
  if (!split.labels_hash().empty()) {
    RETURN_IF_ERROR(
        CheckLength(directory, dataset.path(), split.name() + kLabelsSuffix, split.tokens(), field));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckDatasetFiles(const std::string& data_root, const v1::Dataset& dataset,
                               absl::string_view field) {
  const absl::StatusOr<int> directory =
      OpenBeneath(data_root, dataset.path(), O_PATH | O_DIRECTORY | O_CLOEXEC, field);
  if (!directory.ok()) {
    if (InfoOf(directory.status()).reason().empty()) {
      return InvalidField("DATASET_NOT_THERE", field,
                          absl::StrCat(field, ": dataset '", dataset.name(), "' is not at ", dataset.path(),
                                       " beneath the data root"),
                          "prepare it where the coordinator's data root is mounted");
    }
    return directory.status();
  }
  absl::Status status = absl::OkStatus();
  for (const v1::Split& split : dataset.splits()) {
    if (status.ok()) {
      status = CheckSplit(*directory, dataset, split, field);
    }
  }
  close(*directory);
  return status;
}

absl::Status CheckFreeSpace(const std::string& home) {
  constexpr uint64_t kReserved = uint64_t{64} << 20;
  struct statvfs info;
  if (statvfs(home.c_str(), &info) != 0) {
    return ErrnoError(errno, home);
  }
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  if (free_bytes >= kReserved) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kResourceExhausted, "DISK_FULL", "",
               absl::StrCat(home, ": the coordinator's disk has only ", free_bytes >> 20, " MiB left"),
               absl::StrCat("free at least ", kReserved >> 20, " MiB there"));
}

}  // namespace cherry::coordinator
