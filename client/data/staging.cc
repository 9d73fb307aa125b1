#include "client/data/staging.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::client {
namespace {

// A lock that nobody holds means that its process has died.
absl::StatusOr<int> LockDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    close(fd);
    return ErrnoError(error, path);
  }
  return fd;
}

void RemoveLeftovers(const std::string& root, const std::string& prefix) {
  const auto names = ListDirectory(root);
  if (!names.ok()) {
    return;
  }
  for (const std::string& name : *names) {
    if (!absl::StartsWith(name, prefix)) {
      continue;
    }
    const std::string path = absl::StrCat(root, "/", name);
    const auto lock = LockDirectory(path);
    if (lock.ok()) {
      Drop(RemoveTree(path));
      close(*lock);
    }
  }
}

}  // namespace

absl::Status DatasetExists(const std::string& root, const std::string& name) {
  return Error(absl::StatusCode::kAlreadyExists, "DATASET_EXISTS", "name",
               absl::StrCat("dataset '", name, "' exists already in ", root),
               "choose another --name, or replace it with --force");
}

Staging::Staging(std::string root, std::string name, std::string path, int lock)
    : root_(std::move(root)), name_(std::move(name)), path_(std::move(path)), lock_(lock) {}

Staging::~Staging() {
  if (!published_) {
    Drop(RemoveTree(path_));
  }
  close(lock_);
}

absl::StatusOr<std::unique_ptr<Staging>> Staging::Create(const std::string& root, const std::string& name) {
  const std::string prefix = absl::StrCat(".", name, ".tmp-");
  RemoveLeftovers(root, prefix);
  const std::string path = absl::StrCat(root, "/", prefix, getpid());
  if (mkdir(path.c_str(), 0755) != 0) {
    return ErrnoError(errno, path);
  }
  ASSIGN_OR_RETURN(const int lock, LockDirectory(path));
  return std::unique_ptr<Staging>(new Staging(root, name, path, lock));
}

absl::Status Staging::Publish(bool replace) {
  RETURN_IF_ERROR(SyncDirectory(path_));
  const std::string target = absl::StrCat(root_, "/", name_);
  if (!replace || !Exists(target)) {
    // Fails on a directory that is not empty, so nobody's dataset is lost between check and rename.
    if (rename(path_.c_str(), target.c_str()) != 0) {
      return errno == EEXIST || errno == ENOTEMPTY ? DatasetExists(root_, name_) : ErrnoError(errno, target);
    }
    published_ = true;
    return SyncDirectory(root_);
  }
  if (renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    return ErrnoError(errno, target);
  }
  published_ = true;
  RETURN_IF_ERROR(SyncDirectory(root_));
  return RemoveTree(path_);
}

}  // namespace cherry::client
