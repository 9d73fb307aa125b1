#include "worker/agent/rank_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry::worker {
namespace {

constexpr size_t kLines = 50;
constexpr size_t kLineBytes = 400;

bool TellsOfAnError(absl::string_view line) {
  const std::string lower = absl::AsciiStrToLower(line);
  for (const char* const word : {"error", "fatal", "what():", "terminate called", "assert", "abort"}) {
    if (absl::StrContains(lower, word)) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RankLog>> RankLog::Open(const std::string& path, int64_t max_bytes) {
  const size_t slash = path.rfind('/');
  if (slash != std::string::npos) {
    RETURN_IF_ERROR(MakeDirectories(path.substr(0, slash), 0700));
  }
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  const off_t size = lseek(fd, 0, SEEK_END);
  return std::unique_ptr<RankLog>(new RankLog(path, fd, std::max<int64_t>(size, 0), max_bytes));
}

RankLog::~RankLog() { close(fd_); }

int64_t RankLog::WriteLocked(absl::string_view bytes) {
  int64_t written = 0;
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), size_);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      break;
    }
    size_ += n;
    written += n;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return written;
}

void RankLog::RememberLines(absl::string_view bytes) {
  for (const char c : bytes) {
    if (c == '\n') {
      if (!absl::StripAsciiWhitespace(partial_).empty()) {
        lines_.push_back(partial_);
      }
      partial_.clear();
      if (lines_.size() > kLines) {
        lines_.pop_front();
      }
    } else if (partial_.size() < kLineBytes) {
      partial_.push_back(c);
    }
  }
}

void RankLog::Append(absl::string_view bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) {
    return;
  }
  RememberLines(bytes);
  if (!overflowed_) {
    const int64_t room = std::max<int64_t>(0, max_bytes_ - kTailBytes - size_);
    const int64_t written = WriteLocked(bytes.substr(0, static_cast<size_t>(room)));
    bytes.remove_prefix(static_cast<size_t>(written));
    overflowed_ = !bytes.empty();
  }
  left_out_ += static_cast<int64_t>(bytes.size());
  tail_.append(bytes.data(), bytes.size());
  const int64_t surplus = static_cast<int64_t>(tail_.size()) - kTailBytes / 2;
  if (surplus > 0) {
    tail_.erase(0, static_cast<size_t>(surplus));
  }
}

void RankLog::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) {
    return;
  }
  closed_ = true;
  if (!overflowed_) {
    return;
  }
  const int64_t lost = left_out_ - static_cast<int64_t>(tail_.size());
  if (lost > 0) {
    WriteLocked(
        absl::StrCat("\n[", lost, " bytes left out: the log is bounded to ", max_bytes_, " bytes]\n"));
  }
  WriteLocked(tail_);
}

int64_t RankLog::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return size_;
}

bool RankLog::closed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return closed_;
}

std::string RankLog::LastError() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!absl::StripAsciiWhitespace(partial_).empty() && TellsOfAnError(partial_)) {
    return partial_;
  }
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (TellsOfAnError(*line)) {
      return *line;
    }
  }
  if (!absl::StripAsciiWhitespace(partial_).empty()) {
    return partial_;
  }
  return lines_.empty() ? "" : lines_.back();
}

absl::StatusOr<std::string> RankLog::Read(int64_t offset, int64_t max) const {
  const int64_t available = std::max<int64_t>(0, size() - offset);
  std::string bytes(static_cast<size_t>(std::min(available, max)), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        pread(fd_, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return ErrnoError(errno, path_);
    }
    if (n == 0) {
      break;
    }
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

}  // namespace cherry::worker
