// What the rules must know of the training split before they label anything: rare stems, and its languages.
//
// Not thread-safe; works on several threads inside. The order of the documents does not matter.
#ifndef CHERRY_CLIENT_DATA_CORPUS_SURVEY_H_
#define CHERRY_CLIENT_DATA_CORPUS_SURVEY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "client/data/rare_stems.h"
#include "client/data/rule_set.h"
#include "client/data/utf8.h"

namespace cherry::client {

class CorpusSurvey {
 public:
  // `rules` is not owned. `chat`: documents are packed conversations, of which the rules read what assistants
  // say.
  CorpusSurvey(const RuleSet* rules, bool chat, int threads)
      : rules_(*rules), chat_(chat), threads_(threads) {}

  absl::Status Add(absl::Span<const std::string> documents);
  RareStems Rare() const;
  // Of all letters those of each language, in the order of the rules' languages; 0 without letters.
  std::vector<double> LetterShares() const;

 private:
  struct Found {
    std::vector<uint64_t> stems;
    LetterCounts letters;
  };
  absl::StatusOr<Found> Look(absl::string_view document) const;

  const RuleSet& rules_;
  const bool chat_;
  const int threads_;
  StemCounter stems_;
  LetterCounts letters_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_DATA_CORPUS_SURVEY_H_
