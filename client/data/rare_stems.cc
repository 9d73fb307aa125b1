#include "client/data/rare_stems.h"

#include <xxhash.h>

#include <algorithm>
#include <map>

namespace cherry::client {

uint64_t StemHash(absl::string_view stem) { return XXH3_64bits(stem.data(), stem.size()); }

void StemCounter::Add(std::vector<uint64_t> document) {
  std::sort(document.begin(), document.end());
  for (size_t i = 0; i < document.size(); ++i) {
    Count& count = counts_[document[i]];
    ++count.occurrences;
    count.documents += i == 0 || document[i] != document[i - 1] ? 1 : 0;
  }
}

RareStems StemCounter::Finish(double share) const {
  std::map<int64_t, int64_t> occurrences;  // By number of documents.
  int64_t total = 0;
  for (const auto& [stem, count] : counts_) {
    occurrences[count.documents] += count.occurrences;
    total += count.occurrences;
  }
  RareStems rare;
  int64_t taken = 0;
  for (const auto& [documents, count] : occurrences) {
    taken += count;
    if (static_cast<double>(taken) > share * static_cast<double>(total)) {
      break;
    }
    rare.limit_ = documents;
  }
  for (const auto& [stem, count] : counts_) {
    if (count.documents > rare.limit_) {
      rare.common_.insert(stem);
    }
  }
  return rare;
}

}  // namespace cherry::client
