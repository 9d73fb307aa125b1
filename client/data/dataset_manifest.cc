#include "client/data/dataset_manifest.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/data/label_file.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/token_file.h"
#include "nlohmann/json.hpp"

namespace cherry::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;

Json SplitToJson(const v1::Split& split, int64_t text_bytes) {
  Json json = {{"name", split.name()},           {"documents", split.documents()},
               {"tokens", split.tokens()},       {"text_bytes", text_bytes},
               {"bin_bytes", split.bin_bytes()}, {"bin_hash", split.bin_hash()},
               {"idx_hash", split.idx_hash()},   {"unigram_entropy", split.unigram_entropy()}};
  if (!split.labels_hash().empty()) {
    json["labels"] = {{"hash", split.labels_hash()},
                      {"fact_tokens", split.fact_tokens()},
                      {"reason_tokens", split.reason_tokens()},
                      {"correct_tokens", split.correct_tokens()},
                      {"response_tokens", split.response_tokens()}};
  }
  return json;
}

void SplitFromJson(const Json& json, DatasetManifest* manifest) {
  v1::Split* split = manifest->dataset.add_splits();
  split->set_name(json.at("name").get<std::string>());
  split->set_documents(json.at("documents").get<int64_t>());
  split->set_tokens(json.at("tokens").get<int64_t>());
  split->set_bin_bytes(json.at("bin_bytes").get<int64_t>());
  split->set_bin_hash(json.at("bin_hash").get<std::string>());
  split->set_idx_hash(json.at("idx_hash").get<std::string>());
  split->set_unigram_entropy(json.at("unigram_entropy").get<double>());
  manifest->text_bytes.push_back(json.at("text_bytes").get<int64_t>());
  const auto labels = json.find("labels");
  if (labels != json.end()) {
    split->set_labels_hash(labels->at("hash").get<std::string>());
    split->set_fact_tokens(labels->at("fact_tokens").get<int64_t>());
    split->set_reason_tokens(labels->at("reason_tokens").get<int64_t>());
    split->set_correct_tokens(labels->at("correct_tokens").get<int64_t>());
    split->set_response_tokens(labels->at("response_tokens").get<int64_t>());
  }
}

Json CountsToJson(const CorpusCounts& counts) {
  return {{"documents_read", counts.documents_read},
          {"repeated_documents", counts.repeated_documents},
          {"empty_documents", counts.empty_documents},
          {"repeated_lines", counts.repeated_lines},
          {"repeated_line_bytes", counts.repeated_line_bytes}};
}

CorpusCounts CountsFromJson(const Json& json) {
  CorpusCounts counts;
  counts.documents_read = json.at("documents_read").get<int64_t>();
  counts.repeated_documents = json.at("repeated_documents").get<int64_t>();
  counts.empty_documents = json.at("empty_documents").get<int64_t>();
  counts.repeated_lines = json.at("repeated_lines").get<int64_t>();
  counts.repeated_line_bytes = json.at("repeated_line_bytes").get<int64_t>();
  return counts;
}

Json ControlToJson(const DatasetManifest& manifest) {
  Json survival = Json::array();
  for (const ControlSurvival& split : manifest.survival) {
    Json grams = Json::array();
    for (const GramSurvival& row : split.grams) {
      grams.push_back({{"n", row.n}, {"places", row.places}, {"surviving", row.surviving}});
    }
    survival.push_back(
        {{"split", split.split}, {"blocks", split.blocks}, {"tokens", split.tokens}, {"grams", grams}});
  }
  return {{"name", manifest.dataset.control()}, {"seed", manifest.control_seed}, {"survival", survival}};
}

void ControlFromJson(const Json& json, DatasetManifest* manifest) {
  manifest->dataset.set_control(json.at("name").get<std::string>());
  manifest->control_seed = json.at("seed").get<int64_t>();
  for (const Json& split : json.at("survival")) {
    ControlSurvival survival;
    survival.split = split.at("split").get<std::string>();
    survival.blocks = split.at("blocks").get<int64_t>();
    survival.tokens = split.at("tokens").get<int64_t>();
    for (const Json& row : split.at("grams")) {
      survival.grams.push_back(
          {row.at("n").get<int>(), row.at("places").get<int64_t>(), row.at("surviving").get<int64_t>()});
    }
    manifest->survival.push_back(std::move(survival));
  }
}

absl::Status NotAManifest(absl::string_view what) {
  return absl::DataLossError(absl::StrCat(kDatasetManifestFile, ": ", what));
}

void Fill(const Json& json, DatasetManifest* manifest) {
  manifest->code_version = json.at("code_version").get<std::string>();
  v1::Dataset& dataset = manifest->dataset;
  dataset.set_name(json.at("name").get<std::string>());
  const Json& tokenizer = json.at("tokenizer");
  dataset.set_vocab(tokenizer.at("vocab").get<int32_t>());
  dataset.set_tokenizer_hash(tokenizer.at("hash").get<std::string>());
  manifest->tokenizer_trained = tokenizer.at("trained").get<bool>();
  if (tokenizer.contains("end_tokens")) {  // Cherry's own have the usual ones.
    dataset.set_begin_token(tokenizer.at("begin_token").get<int32_t>());
    for (const Json& token : tokenizer.at("end_tokens")) {
      dataset.add_end_tokens(token.get<int32_t>());
    }
  }
  dataset.set_bytes_per_token(json.at("bytes_per_token").get<int32_t>());
  for (const Json& split : json.at("splits")) {
    SplitFromJson(split, manifest);
  }
  manifest->chat = json.value("chat", false);
  const auto rules = json.find("rules");  // Manifests of before the rules have none.
  if (rules != json.end()) {
    for (const Json& language : rules->at("languages")) {
      dataset.add_rule_languages(language.get<std::string>());
    }
    dataset.set_rules_hash(rules->at("hash").get<std::string>());
    manifest->letter_shares = rules->at("letter_shares").get<std::vector<double>>();
    manifest->rare_stem_documents = rules->at("rare_stem_documents").get<int64_t>();
  }
  const auto control = json.find("control");  // Natural text has none.
  if (control != json.end()) {
    ControlFromJson(*control, manifest);
  }
  const Json& options = json.at("options");
  manifest->valid_share = options.at("valid_share").get<double>();
  manifest->line_characters = options.at("repeated_line_characters").get<int>();
  manifest->text.text_field = options.at("text_field").get<std::string>();
  const Json& separator = options.at("document_separator");
  if (!separator.is_null()) {
    manifest->text.separator = separator.get<std::string>();
  }
  for (const Json& input : json.at("inputs")) {
    manifest->inputs.push_back({input.at("path").get<std::string>(), input.at("bytes").get<int64_t>(),
                                input.at("documents").get<int64_t>(), input.at("hash").get<std::string>()});
  }
  manifest->counts = CountsFromJson(json.at("counts"));
}

absl::Status CheckHash(const std::string& path, const std::string& expected) {
  ASSIGN_OR_RETURN(const std::string hash, HashFile(path));
  if (hash != expected) {
    return Error(absl::StatusCode::kDataLoss, "DATASET_CHANGED", "",
                 absl::StrCat(path, ": checksum ", hash, " is not the manifest's ", expected),
                 "copy the dataset again or repeat `cherry data prepare --force`");
  }
  return absl::OkStatus();
}

absl::Status CheckSplit(const std::string& prefix, const v1::Dataset& dataset, const v1::Split& split) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TokenFile> file, TokenFile::Open(prefix));
  if (file->tokens() == split.tokens() && file->documents() == split.documents() &&
      file->bytes_per_token() == dataset.bytes_per_token()) {
    return absl::OkStatus();
  }
  return Error(absl::StatusCode::kDataLoss, "DATASET_CHANGED", "",
               absl::StrCat(prefix, ".idx: ", file->documents(), " documents of ", file->tokens(),
                            " tokens; the manifest names ", split.documents(), " of ", split.tokens()),
               "copy the dataset again or repeat `cherry data prepare --force`");
}

}  // namespace

std::string LettersText(const DatasetManifest& manifest) {
  std::string text;
  for (size_t i = 0; i < manifest.letter_shares.size(); ++i) {
    absl::StrAppend(&text, text.empty() ? "letters " : ", ",
                    absl::StrFormat("%.1f %% %s", 100 * manifest.letter_shares[i],
                                    manifest.dataset.rule_languages(static_cast<int>(i))));
  }
  return text;
}

std::string DatasetManifestToJson(const DatasetManifest& manifest) {
  const v1::Dataset& dataset = manifest.dataset;
  Json splits = Json::array();
  for (int i = 0; i < dataset.splits_size(); ++i) {
    splits.push_back(SplitToJson(dataset.splits(i), manifest.text_bytes[static_cast<size_t>(i)]));
  }
  Json inputs = Json::array();
  for (const InputRecord& input : manifest.inputs) {
    inputs.push_back(
        {{"path", input.path}, {"bytes", input.bytes}, {"documents", input.documents}, {"hash", input.hash}});
  }
  Json languages = Json::array();
  for (const std::string& language : dataset.rule_languages()) {
    languages.push_back(language);
  }
  const Json separator = manifest.text.separator.has_value() ? Json(*manifest.text.separator) : Json(nullptr);
  Json json = {{"format", manifest.format},
               {"name", dataset.name()},
               {"code_version", manifest.code_version},
               {"tokenizer",
                {{"vocab", dataset.vocab()},
                 {"hash", dataset.tokenizer_hash()},
                 {"trained", manifest.tokenizer_trained}}},
               {"bytes_per_token", dataset.bytes_per_token()},
               {"rules",
                {{"languages", languages},
                 {"hash", dataset.rules_hash()},
                 {"letter_shares", manifest.letter_shares},
                 {"rare_stem_documents", manifest.rare_stem_documents}}},
               {"chat", manifest.chat},
               {"splits", splits},
               {"options",
                {{"valid_share", manifest.valid_share},
                 {"repeated_line_characters", manifest.line_characters},
                 {"text_field", manifest.text.text_field},
                 {"document_separator", separator}}},
               {"counts", CountsToJson(manifest.counts)},
               {"inputs", inputs}};
  if (!dataset.end_tokens().empty()) {
    json["tokenizer"]["begin_token"] = dataset.begin_token();
    json["tokenizer"]["end_tokens"] =
        std::vector<int32_t>(dataset.end_tokens().begin(), dataset.end_tokens().end());
  }
  if (!dataset.control().empty()) {
    json["control"] = ControlToJson(manifest);
  }
  // A path may hold any bytes.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<DatasetManifest> DatasetManifestFromJson(absl::string_view text) {
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object() || !json.contains("format") || !json["format"].is_number_integer()) {
    return NotAManifest("not the manifest of a dataset");
  }
  DatasetManifest manifest;
  manifest.format = json["format"].get<int>();
  if (manifest.format != kFormat) {
    return absl::UnimplementedError(
        absl::StrCat(kDatasetManifestFile, ": format ", manifest.format, "; this version reads ", kFormat));
  }
  // nlohmann reports what is missing by exception only; it stops here.
  try {
    Fill(json, &manifest);
  } catch (const nlohmann::json::exception& error) {
    return NotAManifest(error.what());
  }
  return manifest;
}

absl::StatusOr<DatasetManifest> ReadDatasetManifest(const std::string& data_root, const std::string& name) {
  RETURN_IF_ERROR(ValidateName(name, "NAME"));
  if (!Exists(data_root)) {
    return Error(absl::StatusCode::kNotFound, "ROOT_NOT_MOUNTED", "data-root",
                 absl::StrCat("the data root ", data_root, " is not on this machine"),
                 "run this where it is mounted, or give --data-root");
  }
  absl::StatusOr<std::string> directory = ResolveBeneath(data_root, name, "NAME");
  if (absl::IsNotFound(directory.status())) {
    return Error(absl::StatusCode::kNotFound, "DATASET_NOT_FOUND", "NAME",
                 absl::StrCat("no dataset '", name, "' in ", data_root), "see `cherry get datasets`");
  }
  RETURN_IF_ERROR(directory.status());
  ASSIGN_OR_RETURN(const std::string path,
                   ResolveBeneath(data_root, absl::StrCat(name, "/", kDatasetManifestFile), "NAME"));
  ASSIGN_OR_RETURN(const std::string json, ReadFile(path));
  absl::StatusOr<DatasetManifest> manifest = DatasetManifestFromJson(json);
  if (!manifest.ok()) {
    return Annotate(manifest.status(), *directory);
  }
  manifest->dataset.set_name(name);
  manifest->dataset.set_path(name);
  manifest->dataset.set_manifest_hash(HashBytes(json));
  return manifest;
}

absl::Status VerifyDataset(const std::string& directory, const DatasetManifest& manifest, bool hashes) {
  for (const v1::Split& split : manifest.dataset.splits()) {
    const std::string prefix = absl::StrCat(directory, "/", split.name());
    RETURN_IF_ERROR(CheckSplit(prefix, manifest.dataset, split));
    RETURN_IF_ERROR(CheckLabels(prefix, split, hashes));
    if (hashes) {
      RETURN_IF_ERROR(CheckHash(prefix + ".bin", split.bin_hash()));
      RETURN_IF_ERROR(CheckHash(prefix + ".idx", split.idx_hash()));
    }
  }
  return CheckHash(absl::StrCat(directory, "/", kDatasetTokenizerFile), manifest.dataset.tokenizer_hash());
}

}  // namespace cherry::client
