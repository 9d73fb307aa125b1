// Length-prefixed protobuf messages over a stream socket: a little-endian uint32 and that many bytes.
#ifndef CHERRY_COMMON_FRAME_H_
#define CHERRY_COMMON_FRAME_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message_lite.h"

namespace cherry {

inline constexpr uint32_t kMaxFrameBytes = 64u << 20;

// Writes the whole frame, waiting as needed. EPIPE is kUnavailable (SIGPIPE is suppressed). One writer at a
// time.
absl::Status WriteFrame(int fd, const google::protobuf::MessageLite& message);

// Waits for a whole frame and parses it. kOutOfRange: the other end has closed between two frames;
// kDataLoss: within one, too long, or not parseable. One reader at a time.
absl::Status ReadFrame(int fd, google::protobuf::MessageLite* message);

// Takes frames out of a byte stream that arrives in pieces, for a poll loop. Not thread-safe.
class FrameParser {
 public:
  void Append(absl::string_view bytes) { buffer_.append(bytes.data(), bytes.size()); }
  // True: *message holds the next frame. False: more bytes are needed.
  absl::StatusOr<bool> Next(google::protobuf::MessageLite* message);

 private:
  std::string buffer_;
  size_t start_ = 0;
};

// The bytes of one frame.
absl::StatusOr<std::string> EncodeFrame(const google::protobuf::MessageLite& message);

}  // namespace cherry

#endif  // CHERRY_COMMON_FRAME_H_
