#include "common/frame.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr size_t kHeader = 4;

uint32_t DecodeLength(const char* bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(bytes);
  return b[0] | (b[1] << 8) | (b[2] << 16) | (static_cast<uint32_t>(b[3]) << 24);
}

absl::Status WaitFor(int fd, short events) {
  pollfd poller = {fd, events, 0};
  while (poll(&poller, 1, -1) < 0) {
    if (errno != EINTR) {
      return ErrnoError(errno, "poll");
    }
  }
  return absl::OkStatus();
}

// Reads exactly `size` bytes; `*got` tells how many arrived before an end of file.
absl::Status ReadExactly(int fd, char* out, size_t size, size_t* got) {
  *got = 0;
  while (*got < size) {
    const ssize_t n = read(fd, out + *got, size - *got);
    if (n > 0) {
      *got += static_cast<size_t>(n);
    } else if (n == 0) {
      return absl::OutOfRangeError("the other end has closed");
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(fd, POLLIN));
    } else if (errno == ECONNRESET) {
      return absl::OutOfRangeError("the other end has gone");
    } else if (errno != EINTR) {
      return ErrnoError(errno, "read");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckLength(uint32_t length) {
  if (length > kMaxFrameBytes) {
    return absl::DataLossError(absl::StrCat("frame of ", length, " bytes, more than ", kMaxFrameBytes));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> EncodeFrame(const google::protobuf::MessageLite& message) {
  const size_t size = message.ByteSizeLong();
  if (size > kMaxFrameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("frame of ", size, " bytes, more than ", kMaxFrameBytes));
  }
  std::string bytes(kHeader, '\0');
  for (size_t i = 0; i < kHeader; ++i) {
    bytes[i] = static_cast<char>((size >> (8 * i)) & 0xff);
  }
  message.AppendToString(&bytes);
  return bytes;
}

absl::Status WriteFrame(int fd, const google::protobuf::MessageLite& message) {
  ASSIGN_OR_RETURN(const std::string bytes, EncodeFrame(message));
  size_t done = 0;
  while (done < bytes.size()) {
    ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) {
      n = write(fd, bytes.data() + done, bytes.size() - done);
    }
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      RETURN_IF_ERROR(WaitFor(fd, POLLOUT));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return absl::UnavailableError("the other end has closed");
    } else if (errno != EINTR) {
      return ErrnoError(errno, "write");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadFrame(int fd, google::protobuf::MessageLite* message) {
  char header[kHeader];
  size_t got = 0;
  absl::Status status = ReadExactly(fd, header, kHeader, &got);
  if (!status.ok()) {
    return got == 0 ? status : absl::DataLossError("closed within a frame");
  }
  const uint32_t length = DecodeLength(header);
  RETURN_IF_ERROR(CheckLength(length));
  std::string bytes(length, '\0');
  status = ReadExactly(fd, bytes.data(), length, &got);
  if (!status.ok()) {
    return absl::IsOutOfRange(status) ? absl::DataLossError("closed within a frame") : status;
  }
  if (!message->ParseFromString(bytes)) {
    return absl::DataLossError("a frame that is not the expected message");
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> FrameParser::Next(google::protobuf::MessageLite* message) {
  const size_t available = buffer_.size() - start_;
  if (available < kHeader) {
    return false;
  }
  const uint32_t length = DecodeLength(buffer_.data() + start_);
  RETURN_IF_ERROR(CheckLength(length));
  if (available - kHeader < length) {
    return false;
  }
  const char* body = buffer_.data() + start_ + kHeader;
  if (!message->ParseFromArray(body, static_cast<int>(length))) {
    return absl::DataLossError("a frame that is not the expected message");
  }
  start_ += kHeader + length;
  if (start_ == buffer_.size() || start_ > (1u << 20)) {
    buffer_.erase(0, start_);
    start_ = 0;
  }
  return true;
}

}  // namespace cherry
