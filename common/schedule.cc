#include "common/schedule.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace cherry {
namespace {

constexpr char kField[] = "compress.unroll.schedule";
constexpr int64_t kMostVisits = 4096;

absl::Status Invalid(absl::string_view text, absl::string_view what, absl::string_view remedy) {
  return InvalidField("SCHEDULE_INVALID", kField,
                      absl::StrCat(kField, ": '", text.substr(0, 100), "' ", what), remedy);
}

struct Term {
  int64_t layers = 0;
  int64_t rounds = 1;
};

absl::StatusOr<Term> ParseTerm(absl::string_view text, absl::string_view term) {
  const std::vector<std::string> parts = absl::StrSplit(term, 'x');
  Term result;
  const bool good = parts.size() <= 2 && absl::SimpleAtoi(parts[0], &result.layers) &&
                    (parts.size() == 1 || absl::SimpleAtoi(parts[1], &result.rounds)) && result.layers >= 1 &&
                    result.rounds >= 1 && result.layers <= kMostVisits && result.rounds <= kMostVisits;
  if (!good) {
    return Invalid(text, absl::StrCat("has the term '", term, "'"),
                   "write layers, or layers x rounds, joined by +: 1 + 4x8 + 1");
  }
  return result;
}

}  // namespace

absl::StatusOr<std::vector<Visit>> ParseSchedule(absl::string_view text, int64_t layers) {
  std::vector<Visit> visits;
  if (absl::StripAsciiWhitespace(text).empty()) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      visits.push_back({.layer = layer});
    }
    return visits;
  }
  int64_t first = 0;
  int64_t loops = 0;
  for (absl::string_view part : absl::StrSplit(text, '+')) {
    ASSIGN_OR_RETURN(const Term term, ParseTerm(text, absl::StripAsciiWhitespace(part)));
    const int64_t loop = term.rounds > 1 ? loops++ : -1;
    for (int64_t round = 0; round < term.rounds; ++round) {
      for (int64_t layer = first; layer < first + term.layers; ++layer) {
        visits.push_back({layer, round, term.rounds, loop, loop >= 0 && layer == first});
      }
      if (static_cast<int64_t>(visits.size()) > kMostVisits) {
        return Invalid(text, absl::StrCat("visits layers more than ", kMostVisits, " times"),
                       "use fewer rounds");
      }
    }
    first += term.layers;
  }
  if (first != layers) {
    return Invalid(text, absl::StrCat("names ", first, " layers, the model has ", layers),
                   absl::StrCat("let its terms take ", layers, " layers in all"));
  }
  return visits;
}

}  // namespace cherry
