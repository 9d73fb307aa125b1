#include "common/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry {
namespace {

std::string Parent(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) {
    return ".";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status WriteAll(int fd, absl::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd, bytes.data(), bytes.size());
    if (wrote < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoError(errno, path);
    }
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  std::string bytes;
  char buffer[1 << 16];
  absl::Status status;
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got == 0) {
      break;
    }
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      status = ErrnoError(errno, path);
      break;
    }
    bytes.append(buffer, static_cast<size_t>(got));
    if (static_cast<int64_t>(bytes.size()) > max_bytes) {
      status = absl::OutOfRangeError(absl::StrCat(path, ": larger than ", max_bytes, " bytes"));
      break;
    }
  }
  close(fd);
  if (!status.ok()) {
    return status;
  }
  return bytes;
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : ErrnoError(error, path);
}

absl::Status WriteFileAtomically(const std::string& path, absl::string_view bytes, int mode) {
  const std::string temporary = path + ".tmp";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) {
    return ErrnoError(errno, temporary);
  }
  absl::Status status = WriteAll(fd, bytes, temporary);
  if (status.ok() && fsync(fd) != 0) {
    status = ErrnoError(errno, temporary);
  }
  close(fd);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = ErrnoError(errno, path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(Parent(path));
}

absl::Status MakeDirectories(const std::string& path, int mode) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? absl::OkStatus()
                                 : absl::FailedPreconditionError(absl::StrCat(path, ": not a directory"));
  }
  const std::string parent = Parent(path);
  RETURN_IF_ERROR(MakeDirectories(parent, mode));
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return ErrnoError(errno, path);
  }
  return SyncDirectory(parent);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) {
    return ErrnoError(error.value(), path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) {
    return ErrnoError(errno, path);
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") {
      names.push_back(name);
    }
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  return names;
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

absl::StatusOr<int> OpenBeneath(const std::string& root, const std::string& relative, int flags,
                                absl::string_view field) {
  const int root_fd = open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root_fd < 0) {
    return ErrnoError(errno, root);
  }
  open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, root_fd, relative.c_str(), &how, sizeof(how));
  const int error = errno;
  close(root_fd);
  if (fd >= 0) {
    return static_cast<int>(fd);
  }
  if (error == EXDEV || error == ELOOP) {
    return InvalidField("PATH_LEAVES_ROOT", field,
                        absl::StrCat(field, ": '", relative, "' leads out of ", root),
                        "give a path beneath the root, without '..' and symbolic links");
  }
  return ErrnoError(error, absl::StrCat(root, "/", relative));
}

absl::StatusOr<std::string> ResolveBeneath(const std::string& root, const std::string& relative,
                                           absl::string_view field) {
  ASSIGN_OR_RETURN(const int fd, OpenBeneath(root, relative, O_PATH, field));
  close(fd);
  return absl::StrCat(root, "/", relative);
}

}  // namespace cherry
