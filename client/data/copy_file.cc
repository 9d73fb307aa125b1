#include "client/data/copy_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "common/status.h"

namespace cherry::client {
namespace {

absl::Status CopyBytes(int in, int out, const std::string& from, const std::string& to) {
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t got = read(in, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return ErrnoError(errno, from);
    }
    if (got == 0) {
      return fsync(out) == 0 ? absl::OkStatus() : ErrnoError(errno, to);
    }
    for (ssize_t done = 0; done < got;) {
      const ssize_t wrote = write(out, buffer.data() + done, static_cast<size_t>(got - done));
      if (wrote < 0 && errno != EINTR) {
        return ErrnoError(errno, to);
      }
      done += wrote < 0 ? 0 : wrote;
    }
  }
}

}  // namespace

absl::Status CopyFile(const std::string& from, const std::string& to) {
  const int in = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) {
    return ErrnoError(errno, from);
  }
  const std::string temporary = to + ".tmp";
  const int out = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (out < 0) {
    const int error = errno;
    close(in);
    return ErrnoError(error, temporary);
  }
  absl::Status status = CopyBytes(in, out, from, temporary);
  close(in);
  close(out);
  if (status.ok() && rename(temporary.c_str(), to.c_str()) != 0) {
    status = ErrnoError(errno, to);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
  }
  return status;
}

absl::Status LinkOrCopyFile(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0) {
    return absl::OkStatus();
  }
  return errno == EEXIST ? ErrnoError(EEXIST, to) : CopyFile(from, to);
}

}  // namespace cherry::client
