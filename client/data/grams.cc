#include "client/data/grams.h"

#include <algorithm>
#include <cstddef>

namespace cherry::client {

std::vector<int32_t> EmptyGrams(absl::Span<const LabelledToken> text) {
  return std::vector<int32_t>(text.size() + 1, 0);
}

void Lengthen(absl::Span<const LabelledToken> text, bool learn, GramTable* table,
              std::vector<int32_t>* grams) {
  if (grams->empty()) {
    return;
  }
  const size_t n = text.size() + 1 - grams->size();
  grams->pop_back();
  for (size_t i = 0; i < grams->size(); ++i) {
    int32_t& gram = (*grams)[i];
    if (gram == kUnknownGram) {
      continue;
    }
    const uint64_t key =
        uint64_t{static_cast<uint32_t>(gram)} << 32 | static_cast<uint32_t>(text[i + n].token);
    if (learn) {
      gram = table->try_emplace(key, static_cast<int32_t>(table->size())).first->second;
    } else {
      const auto found = table->find(key);
      gram = found == table->end() ? kUnknownGram : found->second;
    }
  }
}

void CountSurvival(absl::Span<const LabelledToken> original, absl::Span<const LabelledToken> changed,
                   absl::Span<GramSurvival> survival) {
  std::vector<int32_t> before = EmptyGrams(original);
  std::vector<int32_t> after = EmptyGrams(changed);
  int n = 0;
  for (GramSurvival& row : survival) {
    for (; n < row.n; ++n) {
      GramTable table;
      table.reserve(before.size());
      Lengthen(original, true, &table, &before);
      Lengthen(changed, false, &table, &after);
    }
    row.places += static_cast<int64_t>(after.size());
    row.surviving += static_cast<int64_t>(after.size()) -
                     static_cast<int64_t>(std::count(after.begin(), after.end(), kUnknownGram));
  }
}

}  // namespace cherry::client
