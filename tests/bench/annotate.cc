// Measures labelling on one thread: cherry-bench-annotate TOKENIZER.json TEXT.jsonl [ROUNDS]
//
// Rounds are interleaved; each figure is the best round's, in millions of bytes of text a second.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "client/data/corpus_survey.h"
#include "client/data/label_tokens.h"
#include "client/data/text_source.h"
#include "common/status.h"

namespace cherry::client {
namespace {

struct Side {
  const char* name;
  std::function<absl::Status()> run;
  double seconds = std::numeric_limits<double>::infinity();
};

absl::Status Measure(const std::string& tokenizer_path, const std::string& text_path, int rounds) {
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(tokenizer_path));
  std::vector<std::string> documents;
  size_t bytes = 0;
  DocumentForm form;
  RETURN_IF_ERROR(
      ReadDocuments({text_path, InputFile::Kind::kJsonLines}, {}, &form, [&](absl::string_view text) {
        documents.emplace_back(text);
        bytes += text.size();
        return absl::OkStatus();
      }).status());
  ASSIGN_OR_RETURN(const RuleSet rules, RuleSet::Create({kKorean, kEnglish}));
  CorpusSurvey first(&rules, false, 1);
  RETURN_IF_ERROR(first.Add(documents));
  const Annotator annotator(&rules, first.Rare());
  const std::vector<absl::string_view> views(documents.begin(), documents.end());
  EncodedBatch batch;
  std::vector<std::vector<TextSpan>> spans(documents.size());
  std::vector<Side> sides = {
      {"tokenizer", [&] { return tokenizer.EncodeBatch(views, 1).status(); }},
      {"tokenizer with ranges",
       [&]() -> absl::Status {
         ASSIGN_OR_RETURN(batch, tokenizer.EncodeBatch(views, 1, true));
         return absl::OkStatus();
       }},
      {"rare stems and letters", [&] { return CorpusSurvey(&rules, false, 1).Add(documents); }},
      {"annotating",
       [&]() -> absl::Status {
         for (size_t i = 0; i < documents.size(); ++i) {
           ASSIGN_OR_RETURN(spans[i], AnnotateText(annotator, documents[i]));
         }
         return absl::OkStatus();
       }},
      {"labelling tokens",
       [&] {
         for (size_t i = 0; i < documents.size(); ++i) {
           LabelTokens(batch.ranges_of(i), spans[i]);
         }
         return absl::OkStatus();
       }},
  };
  for (int round = 0; round < rounds; ++round) {
    for (Side& side : sides) {
      const absl::Time start = absl::Now();
      RETURN_IF_ERROR(side.run());
      side.seconds = std::min(side.seconds, absl::ToDoubleSeconds(absl::Now() - start));
    }
  }
  std::printf("%zu documents, %.1f MB, one thread\n", documents.size(), static_cast<double>(bytes) / 1e6);
  for (const Side& side : sides) {
    std::printf("%-24s %8.1f MB/s\n", side.name, static_cast<double>(bytes) / 1e6 / side.seconds);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace cherry::client

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: cherry-bench-annotate TOKENIZER.json TEXT.jsonl [ROUNDS]\n");
    return 2;
  }
  const absl::Status status = cherry::client::Measure(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 5);
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  return 0;
}
