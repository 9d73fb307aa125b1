#include "client/data/corpus_survey.h"

#include <utility>

#include "client/data/document_encoder.h"
#include "client/data/korean_words.h"
#include "client/data/parallel.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/status.h"

namespace cherry::client {

absl::StatusOr<CorpusSurvey::Found> CorpusSurvey::Look(absl::string_view document) const {
  Found found;
  for (absl::string_view text : RuledTexts(document, chat_)) {
    NfcText nfc;
    if (!IsSurelyNfc(text)) {
      ASSIGN_OR_RETURN(nfc, ToNfc(text));
      text = nfc.text;
    }
    found.letters.Add(CountLetters(text));
    if (rules_.korean() != nullptr) {
      const std::vector<uint64_t> stems = CountedStems(text, *rules_.korean());
      found.stems.insert(found.stems.end(), stems.begin(), stems.end());
    }
  }
  return found;
}

absl::Status CorpusSurvey::Add(absl::Span<const std::string> documents) {
  std::vector<absl::StatusOr<Found>> found(documents.size());
  ParallelFor(threads_, documents.size(), [&](size_t i) { found[i] = Look(documents[i]); });
  for (absl::StatusOr<Found>& one : found) {
    RETURN_IF_ERROR(one.status());
    letters_.Add(one->letters);
    stems_.Add(std::move(one->stems));
  }
  return absl::OkStatus();
}

RareStems CorpusSurvey::Rare() const {
  return rules_.korean() == nullptr ? RareStems() : stems_.Finish(rules_.korean()->rare_share);
}

std::vector<double> CorpusSurvey::LetterShares() const {
  std::vector<double> shares;
  for (const std::string& language : rules_.languages()) {
    const int64_t own = language == kKorean ? letters_.hangul : letters_.latin;
    shares.push_back(letters_.all() == 0 ? 0
                                         : static_cast<double>(own) / static_cast<double>(letters_.all()));
  }
  return shares;
}

}  // namespace cherry::client
