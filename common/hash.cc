#include "common/hash.h"

#include <fcntl.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "common/status.h"

namespace cherry {
namespace {

std::string ToHex(XXH128_hash_t hash) {
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return text;
}

}  // namespace

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->xxh); }
Hasher::~Hasher() = default;

void Hasher::Update(const void* data, size_t size) { XXH3_128bits_update(state_->xxh, data, size); }

std::string Hasher::Hex() const { return ToHex(XXH3_128bits_digest(state_->xxh)); }

std::string HashBytes(absl::string_view bytes) { return ToHex(XXH3_128bits(bytes.data(), bytes.size())); }

absl::StatusOr<std::string> HashFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  Hasher hasher;
  std::vector<char> buffer(1 << 20);
  absl::Status status;
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
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
    hasher.Update(buffer.data(), static_cast<size_t>(got));
  }
  close(fd);
  if (!status.ok()) {
    return status;
  }
  return hasher.Hex();
}

}  // namespace cherry
