// The documents of a corpus without their repetitions, kept in a file beside the dataset while it is made.
//
// A document that was seen before is dropped. A line of at least `line_characters` that stands in several
// documents is kept in one: the document with the smallest hash, so that the result does not depend on the
// order of the input. Memory: 48 bytes a document and about 25 for each different long line; the text itself
// is mapped, not held.
//
// Add and Seal: one thread. After Seal thread-safe.
#ifndef CHERRY_CLIENT_DATA_CORPUS_H_
#define CHERRY_CLIENT_DATA_CORPUS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry::client {

// 128 bits of XXH3, high word first.
using ContentHash = std::pair<uint64_t, uint64_t>;

struct CorpusCounts {
  int64_t documents_read = 0;
  int64_t repeated_documents = 0;
  int64_t empty_documents = 0;  // Nothing but white space, from the start or without its repeated lines.
  int64_t repeated_lines = 0;
  int64_t repeated_line_bytes = 0;
};

class Corpus {
 public:
  // Writes to `spool_path`, which disappears with this object. `line_characters` 0 keeps every line.
  static absl::StatusOr<std::unique_ptr<Corpus>> Create(const std::string& spool_path, int line_characters);
  ~Corpus();
  Corpus(const Corpus&) = delete;
  Corpus& operator=(const Corpus&) = delete;

  absl::Status Add(absl::string_view document);
  // No Add after it; `progress` is called now and then with the bytes looked at so far.
  absl::Status Seal(const std::function<void(int64_t)>& progress);

  // In input order.
  int64_t documents() const { return static_cast<int64_t>(entries_.size()); }
  int64_t spooled_bytes() const { return spooled_; }
  const CorpusCounts& counts() const { return counts_; }
  // Of the document as it came.
  const ContentHash& hash(int64_t document) const { return entries_[static_cast<size_t>(document)].hash; }
  // Without its repeated lines.
  int64_t bytes(int64_t document) const { return entries_[static_cast<size_t>(document)].clean_bytes; }
  std::string Text(int64_t document) const;

 private:
  struct Entry {
    ContentHash hash;
    int64_t begin = 0;
    int64_t bytes = 0;
    int64_t clean_bytes = 0;
    uint32_t number = 0;  // What owners_ means by it.
  };
  Corpus(int fd, std::string path, int line_characters);
  absl::Status Flush();
  absl::string_view Raw(const Entry& entry) const {
    return {map_ + entry.begin, static_cast<size_t>(entry.bytes)};
  }
  // Calls `visit` with each line (its '\n' included) and whether it stays.
  template <typename Visit>
  void VisitLines(const Entry& entry, Visit visit) const;
  bool IsLong(absl::string_view line) const;

  int fd_;
  const std::string path_;
  const int line_characters_;
  std::string buffer_;
  int64_t spooled_ = 0;
  const char* map_ = nullptr;
  std::vector<Entry> entries_;
  absl::flat_hash_set<ContentHash> seen_;
  absl::flat_hash_map<uint64_t, uint32_t> owners_;  // Line -> the document that keeps it.
  CorpusCounts counts_;
};

// Which documents are for validation: in the order of a salted hash of their content, each that brings their
// bytes nearer to `share` of all. Independent of the order of the documents; at least one on either side.
// REQUIRES: at least two documents.
std::vector<bool> ChooseValid(const std::vector<std::pair<ContentHash, int64_t>>& documents, double share);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CORPUS_H_
