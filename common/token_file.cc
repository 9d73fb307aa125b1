#include "common/token_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/file.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr char kMagic[] = "MMIDIDX\0";  // Nine bytes with the terminator of the literal.
constexpr size_t kMagicBytes = 9;
constexpr uint64_t kVersionNumber = 1;
constexpr uint8_t kInt32Code = 4;
constexpr uint8_t kUint16Code = 8;
constexpr size_t kHeaderBytes = kMagicBytes + 8 + 1 + 8 + 8;
constexpr size_t kBufferBytes = 1 << 20;

// The header is 34 bytes long, so nothing behind it is aligned.
template <typename T>
T Load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

template <typename T>
void Append(std::string* out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out->append(bytes, sizeof(T));
}

absl::Status Broken(const std::string& path, absl::string_view what) {
  return Error(absl::StatusCode::kDataLoss, "TOKEN_FILE_BROKEN", "", absl::StrCat(path, ": ", what),
               "copy it again or repeat `cherry data prepare`");
}

class Writer final : public TokenFileWriter {
 public:
  Writer(int fd, std::string prefix, int bytes_per_token)
      : fd_(fd), prefix_(std::move(prefix)), bytes_per_token_(bytes_per_token) {
    buffer_.reserve(kBufferBytes + 64);
  }
  ~Writer() override {
    if (fd_ >= 0) {
      close(fd_);
    }
  }

  absl::Status Add(absl::Span<const int32_t> document) override {
    if (document.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
      return absl::OutOfRangeError(absl::StrCat(prefix_, ": a document of ", document.size(), " tokens"));
    }
    const int32_t limit = bytes_per_token_ == 2 ? 0xffff : std::numeric_limits<int32_t>::max();
    for (const int32_t token : document) {
      if (token < 0 || token > limit) {
        return absl::OutOfRangeError(
            absl::StrCat(prefix_, ": token ", token, " does not fit into ", bytes_per_token_, " bytes"));
      }
      if (bytes_per_token_ == 2) {
        Append(&buffer_, static_cast<uint16_t>(token));
      } else {
        Append(&buffer_, token);
      }
      if (buffer_.size() >= kBufferBytes) {
        RETURN_IF_ERROR(Flush());
      }
    }
    lengths_.push_back(static_cast<int32_t>(document.size()));
    return absl::OkStatus();
  }

  absl::Status Finish() override {
    RETURN_IF_ERROR(Flush());
    const int fd = fd_;
    fd_ = -1;
    const int synced = fsync(fd);
    const int error = errno;
    close(fd);
    if (synced != 0) {
      return ErrnoError(error, prefix_ + ".bin");
    }
    return WriteFileAtomically(prefix_ + ".idx", Index());
  }

 private:
  absl::Status Flush() {
    size_t done = 0;
    while (done < buffer_.size()) {
      const ssize_t wrote = write(fd_, buffer_.data() + done, buffer_.size() - done);
      if (wrote < 0) {
        if (errno == EINTR) {
          continue;
        }
        return ErrnoError(errno, prefix_ + ".bin");
      }
      done += static_cast<size_t>(wrote);
    }
    buffer_.clear();
    return absl::OkStatus();
  }

  std::string Index() const {
    const size_t count = lengths_.size();
    std::string index;
    index.reserve(kHeaderBytes + count * 20 + 8);
    index.append(kMagic, kMagicBytes);
    Append(&index, kVersionNumber);
    Append(&index, bytes_per_token_ == 2 ? kUint16Code : kInt32Code);
    Append(&index, static_cast<uint64_t>(count));
    Append(&index, static_cast<uint64_t>(count + 1));
    for (const int32_t length : lengths_) {
      Append(&index, length);
    }
    int64_t offset = 0;
    for (const int32_t length : lengths_) {
      Append(&index, offset);
      offset += int64_t{length} * bytes_per_token_;
    }
    for (size_t bound = 0; bound <= count; ++bound) {
      Append(&index, static_cast<int64_t>(bound));
    }
    return index;
  }

  int fd_;
  const std::string prefix_;
  const int bytes_per_token_;
  std::string buffer_;
  std::vector<int32_t> lengths_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFileWriter>> TokenFileWriter::Create(const std::string& prefix,
                                                                         int bytes_per_token) {
  if (bytes_per_token != 2 && bytes_per_token != 4) {
    return absl::InvalidArgumentError(absl::StrCat("bytes_per_token: ", bytes_per_token, " is not 2 or 4"));
  }
  const std::string path = prefix + ".bin";
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    return ErrnoError(errno, path);
  }
  return std::make_unique<Writer>(fd, prefix, bytes_per_token);
}

struct TokenFile::Map {
  char* data = nullptr;
  size_t size = 0;

  ~Map() {
    if (data != nullptr) {
      munmap(data, size);
    }
  }

  static absl::StatusOr<std::unique_ptr<Map>> Open(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return ErrnoError(errno, path);
    }
    auto map = std::make_unique<Map>();
    struct stat info;
    absl::Status status;
    if (fstat(fd, &info) != 0) {
      status = ErrnoError(errno, path);
    } else if (info.st_size > 0) {
      void* data = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_SHARED, fd, 0);
      if (data == MAP_FAILED) {
        status = ErrnoError(errno, path);
      } else {
        map->data = static_cast<char*>(data);
        map->size = static_cast<size_t>(info.st_size);
      }
    }
    close(fd);
    if (!status.ok()) {
      return status;
    }
    return map;
  }
};

TokenFile::~TokenFile() = default;

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& prefix) {
  std::unique_ptr<TokenFile> file(new TokenFile);
  ASSIGN_OR_RETURN(file->bin_, Map::Open(prefix + ".bin"));
  ASSIGN_OR_RETURN(file->idx_, Map::Open(prefix + ".idx"));
  RETURN_IF_ERROR(file->ReadHeader(prefix));
  RETURN_IF_ERROR(file->CheckIndex(prefix));
  return file;
}

absl::Status TokenFile::ReadHeader(const std::string& prefix) {
  const std::string path = prefix + ".idx";
  const char* data = idx_->data;
  if (idx_->size < kHeaderBytes || std::memcmp(data, kMagic, kMagicBytes) != 0) {
    return Broken(path, "not an index of token files (MMIDIDX)");
  }
  const uint64_t version = Load<uint64_t>(data + kMagicBytes);
  if (version != kVersionNumber) {
    return absl::UnimplementedError(absl::StrCat(path, ": version ", version, " of the index; 1 is read"));
  }
  const uint8_t code = Load<uint8_t>(data + kMagicBytes + 8);
  if (code != kInt32Code && code != kUint16Code) {
    return absl::UnimplementedError(
        absl::StrCat(path, ": token type ", int{code}, "; 4 (int32) and 8 (uint16) are read"));
  }
  bytes_per_token_ = code == kUint16Code ? 2 : 4;
  const uint64_t sequences = Load<uint64_t>(data + kMagicBytes + 9);
  const uint64_t bounds = Load<uint64_t>(data + kMagicBytes + 17);
  // Counts beyond the file's length would overflow the products below.
  if (bounds == 0 || sequences > idx_->size || bounds > idx_->size ||
      idx_->size != kHeaderBytes + sequences * 12 + bounds * 8) {
    return Broken(path,
                  absl::StrCat(idx_->size, " bytes do not hold the ", sequences, " sequences and ", bounds,
                               " document bounds its header names; it is truncated or damaged"));
  }
  sequences_ = static_cast<int64_t>(sequences);
  documents_ = static_cast<int64_t>(bounds) - 1;
  lengths_ = data + kHeaderBytes;
  offsets_ = lengths_ + sequences * 4;
  bounds_ = offsets_ + sequences * 8;
  return absl::OkStatus();
}

absl::Status TokenFile::CheckIndex(const std::string& prefix) {
  int64_t bytes = 0;
  for (int64_t i = 0; i < sequences_; ++i) {
    const int32_t length = Load<int32_t>(lengths_ + i * 4);
    if (length < 0 || Load<int64_t>(offsets_ + i * 8) != bytes) {
      return Broken(prefix + ".idx",
                    absl::StrCat("sequence ", i, " does not begin where the one before ends"));
    }
    bytes += int64_t{length} * bytes_per_token_;
  }
  int64_t last = 0;
  for (int64_t i = 0; i <= documents_; ++i) {
    const int64_t bound = Load<int64_t>(bounds_ + i * 8);
    if (bound < last || (i == 0 && bound != 0) || (i == documents_ && bound != sequences_)) {
      return Broken(prefix + ".idx", absl::StrCat("document bound ", i, " is ", bound, ", out of order"));
    }
    last = bound;
  }
  if (static_cast<int64_t>(bin_->size) != bytes) {
    return Broken(prefix + ".bin", absl::StrCat(bin_->size, " bytes, but its index names ", bytes,
                                                "; it is truncated or belongs to another index"));
  }
  tokens_ = bytes / bytes_per_token_;
  return absl::OkStatus();
}

int64_t TokenFile::document_begin(int64_t document) const {
  const int64_t sequence = Load<int64_t>(bounds_ + document * 8);
  return sequence == sequences_ ? tokens_ : Load<int64_t>(offsets_ + sequence * 8) / bytes_per_token_;
}

int64_t TokenFile::document_length(int64_t document) const {
  return document_begin(document + 1) - document_begin(document);
}

template <typename T>
void TokenFile::Copy(int64_t begin, absl::Span<T> out) const {
  const char* at = bin_->data + begin * bytes_per_token_;
  if (bytes_per_token_ == 2) {
    for (T& token : out) {
      token = Load<uint16_t>(at);
      at += 2;
    }
    return;
  }
  for (T& token : out) {
    token = Load<int32_t>(at);
    at += 4;
  }
}

void TokenFile::Read(int64_t begin, absl::Span<int32_t> out) const { Copy(begin, out); }
void TokenFile::Read(int64_t begin, absl::Span<int64_t> out) const { Copy(begin, out); }

}  // namespace cherry
