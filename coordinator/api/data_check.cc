#include "coordinator/api/data_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::coordinator {

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
    const std::string file = absl::StrCat(split.name(), ".bin");
    struct stat info;
    const bool there = fstatat(*directory, file.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (status.ok() && split.bin_bytes() > 0 && (!there || info.st_size != split.bin_bytes())) {
      status = Error(absl::StatusCode::kDataLoss, "DATASET_DAMAGED", field,
                     absl::StrCat(field, ": ", dataset.path(), "/", file, " has ", there ? info.st_size : 0,
                                  " bytes, not ", split.bin_bytes()),
                     "prepare the dataset again with 'cherry data prepare --force'");
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
