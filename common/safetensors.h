// The safetensors layout: a little-endian u64 header length, a JSON header (at most 100 MB), then the
// tensors' bytes. Offsets must be in order, without gaps and overlaps.
//
// Reader: thread-safe after Open. Writer: not thread-safe.
#ifndef CHERRY_COMMON_SAFETENSORS_H_
#define CHERRY_COMMON_SAFETENSORS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

struct TensorInfo {
  std::string name;
  std::string dtype;  // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;
  int64_t begin = 0;  // In the file, in bytes.
  int64_t bytes = 0;
};

// What to write: the bytes are not owned and must outlive the write.
struct TensorBytes {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  int64_t bytes = 0;
};

struct WrittenFile {
  int64_t bytes = 0;
  std::string hash;  // xxh3-128 of the whole file, computed while writing.
};

// Writes and syncs `path` (not atomically: the manifest makes it valid). Deterministic: the same tensors in
// the same order give the same bytes.
absl::StatusOr<WrittenFile> WriteSafetensors(const std::string& path, const std::vector<TensorBytes>& tensors,
                                             const std::map<std::string, std::string>& metadata);

class SafetensorsFile {
 public:
  // Maps the file and checks its header; kDataLoss names the file and what is wrong.
  static absl::StatusOr<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  // In file order.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // kNotFound names tensor and file.
  absl::StatusOr<TensorInfo> Find(absl::string_view name) const;
  // Valid as long as this object.
  const void* Data(const TensorInfo& tensor) const;

 private:
  SafetensorsFile() = default;
  std::string path_;
  void* map_ = nullptr;
  int64_t size_ = 0;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace cherry

#endif  // CHERRY_COMMON_SAFETENSORS_H_
