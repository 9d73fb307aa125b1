#include "common/safetensors.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace cherry {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kPrefixBytes = 8;
constexpr int64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadataKey[] = "__metadata__";
// One write's length: large enough for the disk, small enough to stay in the cache for the checksum.
constexpr size_t kWriteChunk = 1 << 20;

// 0 for a dtype that the format does not have.
int64_t ElementBytes(absl::string_view dtype) {
  static constexpr std::pair<absl::string_view, int64_t> kSizes[] = {
      {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4}, {"I32", 4},  {"U32", 4},     {"F16", 2},    {"BF16", 2},
      {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  for (const auto& [name, size] : kSizes) {
    if (name == dtype) {
      return size;
    }
  }
  return 0;
}

// -1: not representable.
int64_t ByteCount(absl::string_view dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = ElementBytes(dtype);
  if (bytes == 0) {
    return -1;
  }
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) {
      return -1;
    }
  }
  return bytes;
}

absl::Status Bad(const std::string& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(path, ": not a valid safetensors file: ", what));
}

// The length prefix and the padded header.
absl::StatusOr<std::string> MakeHeader(const std::vector<TensorBytes>& tensors,
                                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) {
    header[kMetadataKey] = metadata;
  }
  int64_t offset = 0;
  for (const TensorBytes& tensor : tensors) {
    if (tensor.bytes != ByteCount(tensor.dtype, tensor.shape)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", tensor.name, ": ", tensor.bytes,
                                                     " bytes do not fit its shape and dtype ", tensor.dtype));
    }
    if (header.contains(tensor.name)) {
      return absl::InvalidArgumentError(absl::StrCat("tensor ", tensor.name, " is given twice"));
    }
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes}}};
    offset += tensor.bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (static_cast<int64_t>(text.size()) > kMaxHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a header of ", text.size(), " bytes is too long"));
  }
  const uint64_t length = text.size();
  std::string prefix(kPrefixBytes, '\0');
  for (int i = 0; i < kPrefixBytes; ++i) {
    prefix[i] = static_cast<char>(length >> (8 * i));
  }
  return prefix + text;
}

// Owns a descriptor for one scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) {
      close(fd_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

absl::Status WriteHashed(int fd, const void* data, int64_t bytes, const std::string& path, Hasher* hasher) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const size_t chunk = std::min(kWriteChunk, static_cast<size_t>(bytes));
    const ssize_t wrote = write(fd, next, chunk);
    if (wrote < 0) {
      if (errno == EINTR) {
        continue;
      }
      return ErrnoError(errno, path);
    }
    hasher->Update(next, static_cast<size_t>(wrote));
    next += wrote;
    bytes -= wrote;
  }
  return absl::OkStatus();
}

bool IsCount(const Json& value) {
  return value.is_number_unsigned() &&
         value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

bool IsCounts(const Json& value) {
  return value.is_array() && std::all_of(value.begin(), value.end(), IsCount);
}

// Reads one entry of the header; `begin` is relative to the data.
absl::StatusOr<TensorInfo> ParseTensor(const std::string& path, const std::string& name, const Json& entry) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !IsCounts(entry["shape"]) || !entry.contains("data_offsets") ||
      !IsCounts(entry["data_offsets"]) || entry["data_offsets"].size() != 2) {
    return Bad(path, absl::StrCat("the entry of tensor ", name, " lacks dtype, shape or data_offsets"));
  }
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = entry["dtype"].get<std::string>();
  tensor.shape = entry["shape"].get<std::vector<int64_t>>();
  tensor.begin = entry["data_offsets"][0].get<int64_t>();
  const int64_t end = entry["data_offsets"][1].get<int64_t>();
  tensor.bytes = end - tensor.begin;
  if (ElementBytes(tensor.dtype) == 0) {
    return Bad(path, absl::StrCat("tensor ", name, " has the unknown dtype ", tensor.dtype));
  }
  if (end < tensor.begin || tensor.bytes != ByteCount(tensor.dtype, tensor.shape)) {
    return Bad(path, absl::StrCat("tensor ", name, ": ", tensor.bytes, " bytes do not fit its shape"));
  }
  return tensor;
}

// Checks that the tensors fill the data exactly, and makes their offsets those of the file.
absl::Status PlaceTensors(const std::string& path, int64_t data_begin, int64_t file_bytes,
                          std::vector<TensorInfo>* tensors) {
  std::stable_sort(tensors->begin(), tensors->end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes);
  });
  int64_t next = 0;
  for (TensorInfo& tensor : *tensors) {
    if (tensor.begin != next) {
      return Bad(path, absl::StrCat("tensor ", tensor.name, " begins at ", tensor.begin, ", not at ", next));
    }
    next += tensor.bytes;
    if (next > file_bytes - data_begin) {
      return Bad(path, absl::StrCat("it has ", file_bytes, " bytes, tensor ", tensor.name, " ends at ",
                                    data_begin + next));
    }
    tensor.begin += data_begin;
  }
  if (data_begin + next != file_bytes) {
    return Bad(path, absl::StrCat("it has ", file_bytes, " bytes, its tensors end at ", data_begin + next));
  }
  return absl::OkStatus();
}

struct Header {
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};

absl::StatusOr<Header> ParseHeader(const std::string& path, const char* bytes, int64_t file_bytes) {
  if (file_bytes < kPrefixBytes) {
    return Bad(path, absl::StrCat("it has only ", file_bytes, " bytes"));
  }
  uint64_t length = 0;
  for (int i = kPrefixBytes - 1; i >= 0; --i) {
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  }
  if (length > static_cast<uint64_t>(kMaxHeaderBytes) ||
      length > static_cast<uint64_t>(file_bytes - kPrefixBytes)) {
    return Bad(path, absl::StrCat("a header of ", length, " bytes in a file of ", file_bytes));
  }
  const char* text = bytes + kPrefixBytes;
  std::set<std::string> seen;
  bool twice = false;
  const auto callback = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth == 1 && event == Json::parse_event_t::key) {
      twice = twice || !seen.insert(value.get<std::string>()).second;
    }
    return true;
  };
  const Json json = Json::parse(text, text + length, callback, /*allow_exceptions=*/false);
  if (!json.is_object() || twice) {
    return Bad(path, twice ? "its header names a tensor twice" : "its header is not a JSON object");
  }
  Header header;
  for (const auto& [key, value] : json.items()) {
    if (key == kMetadataKey) {
      for (const auto& [name, text_value] : value.items()) {
        if (!value.is_object() || !text_value.is_string()) {
          return Bad(path, "its metadata are not strings by name");
        }
        header.metadata[name] = text_value.get<std::string>();
      }
      continue;
    }
    ASSIGN_OR_RETURN(TensorInfo tensor, ParseTensor(path, key, value));
    header.tensors.push_back(std::move(tensor));
  }
  const int64_t data_begin = kPrefixBytes + static_cast<int64_t>(length);
  RETURN_IF_ERROR(PlaceTensors(path, data_begin, file_bytes, &header.tensors));
  return header;
}

}  // namespace

absl::StatusOr<WrittenFile> WriteSafetensors(const std::string& path, const std::vector<TensorBytes>& tensors,
                                             const std::map<std::string, std::string>& metadata) {
  ASSIGN_OR_RETURN(const std::string header, MakeHeader(tensors, metadata));
  const Descriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.get() < 0) {
    return ErrnoError(errno, path);
  }
  Hasher hasher;
  WrittenFile written;
  RETURN_IF_ERROR(WriteHashed(file.get(), header.data(), static_cast<int64_t>(header.size()), path, &hasher));
  written.bytes = static_cast<int64_t>(header.size());
  for (const TensorBytes& tensor : tensors) {
    RETURN_IF_ERROR(WriteHashed(file.get(), tensor.data, tensor.bytes, path, &hasher));
    written.bytes += tensor.bytes;
  }
  if (fsync(file.get()) != 0) {
    return ErrnoError(errno, path);
  }
  written.hash = hasher.Hex();
  return written;
}

absl::StatusOr<std::unique_ptr<SafetensorsFile>> SafetensorsFile::Open(const std::string& path) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  if (descriptor.get() < 0 || fstat(descriptor.get(), &info) != 0) {
    return ErrnoError(errno, path);
  }
  if (info.st_size == 0) {
    return Bad(path, "it is empty");
  }
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile);
  file->path_ = path;
  void* map = mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (map == MAP_FAILED) {
    return ErrnoError(errno, path);
  }
  file->map_ = map;
  file->size_ = info.st_size;
  ASSIGN_OR_RETURN(Header header, ParseHeader(path, static_cast<const char*>(map), file->size_));
  file->tensors_ = std::move(header.tensors);
  file->metadata_ = std::move(header.metadata);
  return file;
}

SafetensorsFile::~SafetensorsFile() {
  if (map_ != nullptr) {
    munmap(map_, static_cast<size_t>(size_));
  }
}

absl::StatusOr<TensorInfo> SafetensorsFile::Find(absl::string_view name) const {
  for (const TensorInfo& tensor : tensors_) {
    if (tensor.name == name) {
      return tensor;
    }
  }
  return absl::NotFoundError(absl::StrCat(path_, ": no tensor ", name));
}

const void* SafetensorsFile::Data(const TensorInfo& tensor) const {
  return static_cast<const char*>(map_) + tensor.begin;
}

}  // namespace cherry
