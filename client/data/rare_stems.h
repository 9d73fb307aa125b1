// Which Korean stems are rare: of all occurrences of stems in a corpus, those that stand in the fewest
// documents.
#ifndef CHERRY_CLIENT_DATA_RARE_STEMS_H_
#define CHERRY_CLIENT_DATA_RARE_STEMS_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace cherry::client {

uint64_t StemHash(absl::string_view stem);

// Thread-safe once made.
class RareStems {
 public:
  // None is rare.
  RareStems() = default;
  // The largest number of documents a rare stem stands in; 0 where none is rare.
  int64_t limit() const { return limit_; }
  // A stem that no document had is rare where any is.
  bool Contains(uint64_t stem) const { return limit_ > 0 && !common_.contains(stem); }

 private:
  friend class StemCounter;
  int64_t limit_ = 0;
  absl::flat_hash_set<uint64_t> common_;
};

// Memory: about 30 bytes for each different stem. Not thread-safe; the order of the documents does not
// matter.
class StemCounter {
 public:
  // The stems of one document, in any order, as often as they stand there.
  void Add(std::vector<uint64_t> document);
  // The most documents at which rare stems are still at most `share` of all occurrences.
  RareStems Finish(double share) const;

 private:
  struct Count {
    int64_t documents = 0;
    int64_t occurrences = 0;
  };
  absl::flat_hash_map<uint64_t, Count> counts_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_RARE_STEMS_H_
