#include "client/data/prepare.h"

#include <sys/stat.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/data/annotator.h"
#include "client/data/chat.h"
#include "client/data/controlled_writer.h"
#include "client/data/copy_file.h"
#include "client/data/corpus.h"
#include "client/data/corpus_survey.h"
#include "client/data/document_encoder.h"
#include "client/data/find_tokenizer.h"
#include "client/data/rule_set.h"
#include "client/data/split_writer.h"
#include "client/data/staging.h"
#include "client/data/tokenizer_facts.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/cpus.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::client {
namespace {

constexpr char kTrain[] = "train";
constexpr char kValid[] = "valid";
constexpr int64_t kBatchBytes = 4 << 20;
constexpr int64_t kTrainingBytes = 1 << 30;

int64_t FileBytes(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_size : 0;
}

// One run of PrepareDataset: what its steps hand to each other.
class Preparation {
 public:
  Preparation(const PrepareOptions& options, Staging* staging, Progress* progress)
      : options_(options), staging_(*staging), progress_(*progress) {
    threads_ = options.threads > 0 ? options.threads : AvailableCpus();
    manifest_.code_version = kVersion;
    manifest_.dataset.set_name(options.name);
    manifest_.valid_share = options.valid_share;
    manifest_.text = options.text;
    control_ = ParseControl(options.control).value_or(Control());
    manifest_.dataset.set_control(ControlName(control_));
    manifest_.control_seed = options.control_seed;
  }

  absl::Status FromText(const InputList& list);
  absl::Status FromTokens(const std::vector<std::string>& prefixes);

 private:
  std::string Path(absl::string_view file) const { return absl::StrCat(staging_.path(), "/", file); }
  absl::Status MakeCorpus();
  absl::Status Read(const InputList& list);
  absl::Status Clean();
  absl::Status Split();
  absl::Status MakeTokenizer();
  absl::Status TrainTokenizer();
  absl::Status LoadTokenizer();
  int64_t SplitBytes(bool valid) const;
  absl::Status Encode(const char* name, bool valid);
  absl::Status LearnRules();
  // Calls `visit` with each `stride`-th document of a split, a few megabytes at a time, and their bytes.
  using Visit = std::function<absl::Status(const std::vector<std::string>& documents, int64_t bytes)>;
  absl::Status VisitSplit(bool valid, uint64_t stride, const Visit& visit) const;
  absl::StatusOr<std::unique_ptr<ControlledWriter>> OpenSplit(const std::string& name, bool labelled,
                                                              bool chat);
  absl::Status CloseSplit(ControlledWriter* writer, int64_t text_bytes);
  absl::Status AddSplit(v1::Split split, int64_t text_bytes);
  absl::Status TakeTokens(const std::string& prefix, const std::string& name);
  absl::Status WriteManifest();

  const PrepareOptions& options_;
  const Staging& staging_;
  Progress& progress_;
  int threads_ = 1;
  DatasetManifest manifest_;
  Control control_;
  std::unique_ptr<Corpus> corpus_;
  std::vector<bool> valid_;
  DocumentForm form_;
  std::optional<RuleSet> rules_;
  std::optional<Annotator> annotator_;  // Where there are rules.
  std::optional<Tokenizer> tokenizer_;
  TokenizerFacts facts_;
  int taken_width_ = 0;  // Bytes per token of the first ready-made split.
};

// When the first document has told what they are: lines taken out of a conversation would leave half of it.
absl::Status Preparation::MakeCorpus() {
  if (corpus_ == nullptr) {
    manifest_.chat = form_.chat();
    manifest_.line_characters = manifest_.chat ? 0 : options_.line_characters;
    ASSIGN_OR_RETURN(corpus_, Corpus::Create(Path("text"), manifest_.line_characters));
  }
  return absl::OkStatus();
}

absl::Status Preparation::Read(const InputList& list) {
  int64_t total = 0;
  for (const InputFile& file : list.files) {
    total += FileBytes(file.path);
  }
  progress_.Begin("read", total);
  int64_t bytes = 0;
  for (const InputFile& file : list.files) {
    const auto add = [&](absl::string_view document) -> absl::Status {
      RETURN_IF_ERROR(MakeCorpus());
      progress_.Update(std::max(bytes, corpus_->spooled_bytes()));
      return corpus_->Add(document);
    };
    ASSIGN_OR_RETURN(InputRecord record, ReadDocuments(file, options_.text, &form_, add));
    bytes += record.bytes;
    manifest_.inputs.push_back(std::move(record));
  }
  RETURN_IF_ERROR(MakeCorpus());
  progress_.End(absl::StrCat(
      Grouped(corpus_->counts().documents_read), " documents in ", Grouped(list.files.size()), " files, ",
      HumanBytes(bytes), list.ignored > 0 ? absl::StrCat(" (", list.ignored, " other files ignored)") : ""));
  return absl::OkStatus();
}

absl::Status Preparation::Clean() {
  progress_.Begin("clean", corpus_->spooled_bytes());
  RETURN_IF_ERROR(corpus_->Seal([this](int64_t bytes) { progress_.Update(bytes); }));
  manifest_.counts = corpus_->counts();
  const CorpusCounts& counts = manifest_.counts;
  progress_.End(absl::StrCat(Grouped(counts.repeated_documents), " repeated documents, ",
                             Grouped(counts.repeated_lines), " repeated lines dropped"));
  return absl::OkStatus();
}

absl::Status Preparation::Split() {
  if (corpus_->documents() < 2) {
    return InvalidField("DATASET_TOO_SMALL", "INPUT",
                        absl::StrCat("the input holds ", corpus_->documents(),
                                     " documents, and a split needs 2: one file is one document"),
                        "add files, or split them with --document-separator LINE");
  }
  std::vector<std::pair<ContentHash, int64_t>> documents;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    documents.emplace_back(corpus_->hash(i), corpus_->bytes(i));
  }
  valid_ = ChooseValid(documents, options_.valid_share);
  return absl::OkStatus();
}

int64_t Preparation::SplitBytes(bool valid) const {
  int64_t bytes = 0;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    bytes += valid_[static_cast<size_t>(i)] == valid ? corpus_->bytes(i) : 0;
  }
  return bytes;
}

absl::Status Preparation::VisitSplit(bool valid, uint64_t stride, const Visit& visit) const {
  std::vector<std::string> texts;
  int64_t bytes = 0;
  for (int64_t i = 0; i < corpus_->documents(); ++i) {
    if (valid_[static_cast<size_t>(i)] == valid && corpus_->hash(i).first % stride == 0) {
      texts.push_back(corpus_->Text(i));
      bytes += corpus_->bytes(i);
    }
    if (bytes >= kBatchBytes || (i + 1 == corpus_->documents() && !texts.empty())) {
      RETURN_IF_ERROR(visit(texts, bytes));
      texts.clear();
      bytes = 0;
    }
  }
  return absl::OkStatus();
}

// As the tokenizer, the rules learn from the training split alone.
absl::Status Preparation::LearnRules() {
  if (options_.rules.empty()) {
    return absl::OkStatus();
  }
  progress_.Begin("rules", SplitBytes(false));
  ASSIGN_OR_RETURN(rules_, RuleSet::Create(options_.rules));
  CorpusSurvey survey(&*rules_, manifest_.chat, threads_);
  int64_t done = 0;
  RETURN_IF_ERROR(VisitSplit(false, 1, [&](const std::vector<std::string>& texts, int64_t bytes) {
    progress_.Update(done += bytes);
    return survey.Add(texts);
  }));
  annotator_.emplace(&*rules_, survey.Rare());
  for (const std::string& language : rules_->languages()) {
    manifest_.dataset.add_rule_languages(language);
  }
  manifest_.dataset.set_rules_hash(rules_->hash());
  manifest_.letter_shares = survey.LetterShares();
  manifest_.rare_stem_documents = annotator_->rare().limit();
  progress_.End(LettersText(manifest_));
  return absl::OkStatus();
}

// Learns from the training split alone: what only validation holds must be new to the tokenizer too.
absl::Status Preparation::TrainTokenizer() {
  TokenizerTrainer::Options options = {options_.vocab, threads_, {}};
  if (manifest_.chat) {
    options.special_tokens = RoleTokens();
  }
  absl::StatusOr<TokenizerTrainer> trainer = TokenizerTrainer::Create(options);
  if (!trainer.ok()) {
    return Annotate(trainer.status(), "vocab");
  }
  // Every n-th document of a corpus that is larger than the trainer takes.
  const auto stride = static_cast<uint64_t>(1 + corpus_->spooled_bytes() / kTrainingBytes);
  RETURN_IF_ERROR(VisitSplit(false, stride, [&](const std::vector<std::string>& documents, int64_t) {
    std::vector<absl::string_view> texts;
    for (const std::string& document : documents) {
      const std::vector<absl::string_view> written = WrittenTexts(document, manifest_.chat);
      texts.insert(texts.end(), written.begin(), written.end());
    }
    return trainer->Feed(texts);
  }));
  ASSIGN_OR_RETURN(tokenizer_, trainer->Train());
  const std::string path = Path(kDatasetTokenizerFile);
  RETURN_IF_ERROR(tokenizer_->Save(path));
  ASSIGN_OR_RETURN(facts_, ReadTokenizerFacts(*tokenizer_, path));
  return absl::OkStatus();
}

absl::Status Preparation::LoadTokenizer() {
  ASSIGN_OR_RETURN(const std::string path, FindTokenizer(options_.data_root, options_.tokenizer));
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  ASSIGN_OR_RETURN(tokenizer_, Tokenizer::FromJson(json));
  ASSIGN_OR_RETURN(facts_, ReadTokenizerFacts(*tokenizer_, path));
  if (!facts_.ours()) {
    manifest_.dataset.set_begin_token(facts_.begin_token);
    manifest_.dataset.add_end_tokens(facts_.end_token);
  }
  RETURN_IF_ERROR(CopyCompanions(path, staging_.path()));
  return WriteFileAtomically(Path(kDatasetTokenizerFile), json);
}

absl::Status Preparation::MakeTokenizer() {
  progress_.Begin("tokenizer", 0);
  manifest_.tokenizer_trained = options_.vocab > 0;
  RETURN_IF_ERROR(options_.vocab > 0 ? TrainTokenizer() : LoadTokenizer());
  ASSIGN_OR_RETURN(*manifest_.dataset.mutable_tokenizer_hash(), HashFile(Path(kDatasetTokenizerFile)));
  const int64_t vocab = tokenizer_->VocabSize();
  manifest_.dataset.set_vocab(static_cast<int32_t>(vocab));
  manifest_.dataset.set_bytes_per_token(BytesPerToken(vocab));
  progress_.End(
      absl::StrCat("vocabulary of ", Grouped(vocab), manifest_.tokenizer_trained ? ", trained" : ""));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ControlledWriter>> Preparation::OpenSplit(const std::string& name,
                                                                         bool labelled, bool chat) {
  return ControlledWriter::Create(
      {staging_.path(), name, labelled, chat, control_, options_.control_seed, facts_.end_token},
      *tokenizer_);
}

absl::Status Preparation::CloseSplit(ControlledWriter* writer, int64_t text_bytes) {
  ASSIGN_OR_RETURN(v1::Split split, writer->Finish());
  if (writer->survival().has_value()) {
    manifest_.survival.push_back(*writer->survival());
  }
  return AddSplit(std::move(split), text_bytes);
}

absl::Status Preparation::AddSplit(v1::Split split, int64_t text_bytes) {
  progress_.End(absl::StrCat(split.name(), ": ", Grouped(split.documents()), " documents, ",
                             Grouped(split.tokens()), " tokens"));
  *manifest_.dataset.add_splits() = std::move(split);
  manifest_.text_bytes.push_back(text_bytes);
  return absl::OkStatus();
}

absl::Status Preparation::Encode(const char* name, bool valid) {
  progress_.Begin("encode", SplitBytes(valid));
  const Annotator* const annotator = annotator_.has_value() ? &*annotator_ : nullptr;
  // A template writes the tokens that divide the turns as text.
  tokenizer_->ParseSpecials(manifest_.chat && !facts_.chat_template.empty());
  ASSIGN_OR_RETURN(const DocumentEncoder encoder,
                   DocumentEncoder::Create(&*tokenizer_, &facts_, annotator, manifest_.chat, threads_));
  ASSIGN_OR_RETURN(const std::unique_ptr<ControlledWriter> writer,
                   OpenSplit(name, annotator != nullptr || manifest_.chat, manifest_.chat));
  int64_t done = 0;
  int64_t text_bytes = 0;
  const auto encode = [&](const std::vector<std::string>& documents, int64_t bytes) -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<EncodedDocument> encoded, encoder.Encode(documents));
    for (const EncodedDocument& document : encoded) {
      RETURN_IF_ERROR(writer->Add(document.tokens, document.labels));
      text_bytes += document.text_bytes;
    }
    progress_.Update(done += bytes);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(VisitSplit(valid, 1, encode));
  return CloseSplit(writer.get(), text_bytes);
}

absl::Status Preparation::WriteManifest() {
  return WriteFileAtomically(Path(kDatasetManifestFile), DatasetManifestToJson(manifest_));
}

absl::Status Preparation::FromText(const InputList& list) {
  RETURN_IF_ERROR(Read(list));
  RETURN_IF_ERROR(Clean());
  RETURN_IF_ERROR(Split());
  RETURN_IF_ERROR(LearnRules());
  RETURN_IF_ERROR(MakeTokenizer());
  RETURN_IF_ERROR(Encode(kTrain, false));
  RETURN_IF_ERROR(Encode(kValid, true));
  corpus_.reset();
  return WriteManifest();
}

absl::Status Preparation::TakeTokens(const std::string& prefix, const std::string& name) {
  progress_.Begin("take", 0);
  const bool as_they_are = control_.kind == Control::Kind::kNone;
  for (const std::string suffix : {".bin", ".idx", kLabelsSuffix}) {
    if (as_they_are && (suffix != kLabelsSuffix || Exists(prefix + suffix))) {
      RETURN_IF_ERROR(LinkOrCopyFile(prefix + suffix, Path(name + suffix)));
    }
  }
  const std::string source = as_they_are ? Path(name) : prefix;
  ASSIGN_OR_RETURN(const v1::Split split, MeasureSplit(source, name, tokenizer_->VocabSize()));
  manifest_.inputs.push_back({prefix + ".bin", split.bin_bytes(), split.documents(), split.bin_hash()});
  manifest_.inputs.push_back(
      {prefix + ".idx", FileBytes(prefix + ".idx"), split.documents(), split.idx_hash()});
  if (!split.labels_hash().empty()) {
    manifest_.inputs.push_back(
        {prefix + kLabelsSuffix, split.tokens(), split.documents(), split.labels_hash()});
  }
  if (!as_they_are) {
    ASSIGN_OR_RETURN(const std::unique_ptr<ControlledWriter> writer,
                     OpenSplit(name, !split.labels_hash().empty(), split.response_tokens() > 0));
    RETURN_IF_ERROR(CopyDocuments(prefix, writer.get()));
    return CloseSplit(writer.get(), 0);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(source));
  manifest_.dataset.set_bytes_per_token(file->bytes_per_token());
  return AddSplit(split, 0);
}

absl::Status Preparation::FromTokens(const std::vector<std::string>& prefixes) {
  if (options_.tokenizer.empty()) {
    return InvalidField("FIELD_REQUIRED", "tokenizer",
                        "tokenizer: .bin and .idx need the tokenizer they were made with",
                        "give it with --tokenizer");
  }
  RETURN_IF_ERROR(MakeTokenizer());
  manifest_.valid_share = 0;
  std::vector<std::string> taken;
  for (const std::string& prefix : prefixes) {
    const std::string name = absl::EndsWith(prefix, kValid) ? kValid : kTrain;
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) {
      return InvalidField("INPUT_AMBIGUOUS", "INPUT",
                          absl::StrCat(prefix, ": a second file for the split '", name, "'"),
                          "give at most two: one whose name ends in 'valid', and one other");
    }
    RETURN_IF_ERROR(TakeTokens(prefix, name));
    if (!taken.empty() && manifest_.dataset.bytes_per_token() != taken_width_) {
      return InvalidField("INPUT_AMBIGUOUS", "INPUT",
                          absl::StrCat(prefix, ": ", manifest_.dataset.bytes_per_token(),
                                       " bytes a token, the other split has ", taken_width_),
                          "write both with the same width");
    }
    taken_width_ = manifest_.dataset.bytes_per_token();
    taken.push_back(name);
  }
  return WriteManifest();
}

}  // namespace

absl::StatusOr<DatasetManifest> PrepareDataset(const PrepareOptions& options, Progress* progress) {
  RETURN_IF_ERROR(CheckPrepareOptions(options));
  if (!options.force && Exists(absl::StrCat(options.data_root, "/", options.name))) {
    return DatasetExists(options.data_root, options.name);
  }
  ASSIGN_OR_RETURN(const InputList list, ListInputs(options.inputs));
  if (!list.files.empty() && !list.token_prefixes.empty()) {
    return InvalidField("INPUT_AMBIGUOUS", "INPUT", "text and token files cannot make one dataset",
                        "prepare them as two");
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Staging> staging, Staging::Create(options.data_root, options.name));
  absl::Status status;
  {
    Preparation preparation(options, staging.get(), progress);
    status = list.token_prefixes.empty() ? preparation.FromText(list)
                                         : preparation.FromTokens(list.token_prefixes);
  }
  if (status.ok()) {
    status = staging->Publish(options.force);
  }
  if (absl::IsResourceExhausted(status)) {
    return Error(status.code(), "DISK_FULL", "data-root", status.message(),
                 "free space beneath the data root: preparing needs the size of the text and of the tokens");
  }
  RETURN_IF_ERROR(status);
  return ReadDatasetManifest(options.data_root, options.name);
}

}  // namespace cherry::client
