#include "client/data/controlled_writer.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "client/data/label_file.h"
#include "client/data/sentences.h"
#include "common/file.h"
#include "common/status.h"
#include "common/token_file.h"

namespace cherry::client {
namespace {

// What a token adds to a text. At the start of one a decoder may drop its white space, so it is put behind
// itself.
absl::StatusOr<std::string> TextInside(const Tokenizer& tokenizer, int32_t token) {
  ASSIGN_OR_RETURN(const std::string once, tokenizer.Decode({token}));
  ASSIGN_OR_RETURN(const std::string twice, tokenizer.Decode({token, token}));
  return twice.substr(std::min(once.size(), twice.size()));
}

// What each token of the vocabulary says about sentences.
std::vector<uint8_t> MarksOfVocabulary(const Tokenizer& tokenizer) {
  std::vector<uint8_t> marks(static_cast<size_t>(tokenizer.VocabSize()), 0);
  for (size_t token = 0; token < marks.size(); ++token) {
    // A number that the vocabulary leaves out says nothing.
    const absl::StatusOr<std::string> text = TextInside(tokenizer, static_cast<int32_t>(token));
    marks[token] = text.ok() ? SentenceMarks(*text) : uint8_t{0};
  }
  return marks;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlledWriter>> ControlledWriter::Create(const Options& options,
                                                                           const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<SplitWriter> files,
      SplitWriter::Create(options.directory, options.name, tokenizer.VocabSize(), options.labelled));
  std::unique_ptr<ControlledWriter> writer(new ControlledWriter(std::move(files), options.control));
  if (options.control.kind == Control::Kind::kNone) {
    return writer;
  }
  ControlledSplit::Options split;
  split.control = options.control;
  split.seed = static_cast<uint64_t>(options.seed);
  split.split = options.name;
  split.end_of_text = options.end_of_text;
  split.chat = options.chat;
  if (options.control.kind == Control::Kind::kSentences) {
    split.sentence_marks = MarksOfVocabulary(tokenizer);
  }
  SplitWriter* const sink = writer->writer_.get();
  writer->controlled_.emplace(std::move(split),
                              [sink](absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels) {
                                return sink->Add(tokens, labels);
                              });
  return writer;
}

absl::Status ControlledWriter::Add(absl::Span<const int32_t> tokens, absl::Span<const uint8_t> labels) {
  return controlled_.has_value() ? controlled_->Add(tokens, labels) : writer_->Add(tokens, labels);
}

absl::StatusOr<v1::Split> ControlledWriter::Finish() {
  if (controlled_.has_value()) {
    ASSIGN_OR_RETURN(survival_, controlled_->Finish());
    RETURN_IF_ERROR(CheckSurvival(control_, *survival_));
  }
  return writer_->Finish();
}

absl::Status CopyDocuments(const std::string& prefix, ControlledWriter* writer) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(prefix));
  std::vector<uint8_t> labels;
  if (Exists(prefix + kLabelsSuffix)) {
    ASSIGN_OR_RETURN(labels, ReadLabels(prefix, 0, file->tokens()));
  }
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < file->documents(); ++i) {
    const auto begin = static_cast<size_t>(file->document_begin(i));
    tokens.resize(static_cast<size_t>(file->document_length(i)));
    file->Read(file->document_begin(i), absl::MakeSpan(tokens));
    const auto of_document = labels.empty() ? absl::Span<const uint8_t>()
                                            : absl::MakeConstSpan(labels).subspan(begin, tokens.size());
    RETURN_IF_ERROR(writer->Add(tokens, of_document));
  }
  return absl::OkStatus();
}

}  // namespace cherry::client
