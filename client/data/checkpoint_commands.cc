// cherry checkpoint verify | export, cherry generate
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/context.h"
#include "client/data/chat.h"
#include "client/data/checkpoint_export.h"
#include "client/data/checkpoint_ref.h"
#include "client/data/commands.h"
#include "client/data/generate.h"
#include "client/data/progress.h"
#include "client/data/tokenizer_facts.h"
#include "client/tokenizer/tokenizer_cc.h"
#include "common/ids.h"
#include "common/manifest.h"
#include "common/status.h"
#include "google/protobuf/struct.pb.h"

namespace cherry::client {
namespace {

struct CheckpointFlags {
  std::string ref;
  std::string checkpoint_root;
  ExportOptions export_options;
  v1::GenerateRequest generate;
  std::string prompt;
  bool chat = false;
  bool seeded = false;
  bool speculative = false;
  int32_t draft_tokens = 3;
};

absl::StatusOr<ResolvedCheckpoint> Resolve(const CheckpointFlags& flags, Context* context) {
  ASSIGN_OR_RETURN(const CheckpointRef ref, ParseCheckpointRef(flags.ref));
  const std::string root = flags.checkpoint_root.empty() ? context->checkpoint_root() : flags.checkpoint_root;
  return ResolveCheckpoint(
      ref, root, [context] { return context->Connect(); },
      [context](absl::string_view job) { return context->JobResource(job); });
}

// Tells the coordinator, so that no job loads it. The damage is what the user must hear, so a report that
// does not arrive is only a further line.
void ReportCorrupt(const ResolvedCheckpoint& checkpoint, const absl::Status& damage, Context* context) {
  // A job's is kept from others; an imported model is there to be imported again.
  if (!checkpoint.record.has_value() || ParseModelName(checkpoint.job).ok()) {
    return;
  }
  absl::StatusOr<Client*> client = context->Connect();
  absl::Status status = client.status();
  if (client.ok()) {
    v1::ReportCheckpointRequest request;
    request.set_job(checkpoint.job);
    request.set_step(checkpoint.record->step());
    request.set_corrupt(true);
    request.set_detail(std::string(damage.message()));
    request.set_request_id(context->RequestId());
    status = (*client)->ReportCheckpoint(request).status();
  }
  context->err() << (status.ok() ? "reported: no job will load it\n"
                                 : absl::StrCat("not reported to the coordinator: ", Describe(status), "\n"));
}

absl::Status RunVerify(const std::shared_ptr<CheckpointFlags>& flags, Context* context) {
  ASSIGN_OR_RETURN(const ResolvedCheckpoint checkpoint, Resolve(*flags, context));
  const absl::StatusOr<Manifest> manifest = VerifyCheckpoint(checkpoint.directory);
  if (absl::IsDataLoss(manifest.status())) {
    ReportCorrupt(checkpoint, manifest.status(), context);
  }
  if (!manifest.ok()) {
    return Annotate(manifest.status(), checkpoint.directory);
  }
  int64_t bytes = 0;
  for (const ManifestEntry& file : manifest->files) {
    bytes += file.bytes;
  }
  context->out() << absl::StrFormat("%s: step %d, %d files, %s, every checksum right\n", checkpoint.directory,
                                    manifest->step, manifest->files.size(), HumanBytes(bytes));
  return absl::OkStatus();
}

absl::Status RunExport(const std::shared_ptr<CheckpointFlags>& flags, Context* context) {
  ASSIGN_OR_RETURN(const ResolvedCheckpoint checkpoint, Resolve(*flags, context));
  ExportOptions options = flags->export_options;
  options.checkpoint = checkpoint.directory;
  const absl::StatusOr<ExportResult> result = ExportCheckpoint(options);
  if (absl::IsDataLoss(result.status())) {
    ReportCorrupt(checkpoint, result.status(), context);
  }
  RETURN_IF_ERROR(result.status());
  context->out() << options.output << ": step " << result->step << "\n";
  for (const std::string& file : result->files) {
    context->out() << "  " << file << "\n";
  }
  return absl::OkStatus();
}

// What the model reads first: the prompt as a text begins, or as the chat template asks for an answer to it.
absl::StatusOr<std::vector<int32_t>> PromptTokens(const CheckpointFlags& flags, const TokenizerFacts& facts,
                                                  Tokenizer* tokenizer) {
  if (flags.chat && facts.chat_template.empty()) {
    return EncodeChatPrompt(*tokenizer, flags.prompt);
  }
  if (flags.chat) {
    ASSIGN_OR_RETURN(const std::string text, RenderPrompt(facts, flags.prompt));
    tokenizer->ParseSpecials(true);
    return tokenizer->Encode(text);
  }
  std::vector<int32_t> prompt = facts.prefix;
  ASSIGN_OR_RETURN(const std::vector<int32_t> text, tokenizer->Encode(flags.prompt));
  prompt.insert(prompt.end(), text.begin(), text.end());
  if (prompt.empty()) {
    prompt.push_back(facts.end_token);  // Documents follow it in training.
  }
  return prompt;
}

const char* ReasonText(v1::GenerateDone::Reason reason) {
  return reason == v1::GenerateDone::END_OF_TEXT ? "end of text" : "length";
}

// "40 tokens in 0.31 s; of the drafts 71 %, 48 % were said"
std::string SpeculationText(const GenerateResult& result) {
  std::vector<std::string> shares;
  for (size_t i = 0; i < result.drafted.size() && result.drafted[i] > 0; ++i) {
    shares.push_back(absl::StrFormat(
        "%.0f %%", 100.0 * static_cast<double>(result.accepted[i]) / static_cast<double>(result.drafted[i])));
  }
  return absl::StrFormat("%d tokens in %.2f s; of the drafts %s were said\n", result.tokens, result.seconds,
                         shares.empty() ? "none" : absl::StrJoin(shares, ", "));
}

absl::Status PrintGenerated(const std::string& prompt, const std::string& text,
                            const std::vector<int32_t>& ids, const GenerateResult& result, Context* context) {
  google::protobuf::Struct message;
  auto& fields = *message.mutable_fields();
  fields["prompt"].set_string_value(prompt);
  fields["text"].set_string_value(text);
  for (const int32_t id : ids) {
    fields["tokens"].mutable_list_value()->add_values()->set_number_value(id);
  }
  fields["reason"].set_string_value(ReasonText(result.reason));
  for (const auto& [name, counts] : {std::pair{"drafted", &result.drafted}, {"accepted", &result.accepted}}) {
    for (const int64_t count : *counts) {
      fields[name].mutable_list_value()->add_values()->set_number_value(static_cast<double>(count));
    }
  }
  return context->Print(message);
}

absl::Status RunGenerateCommand(const std::shared_ptr<CheckpointFlags>& flags, Context* context) {
  ASSIGN_OR_RETURN(const ResolvedCheckpoint checkpoint, Resolve(*flags, context));
  ASSIGN_OR_RETURN(const std::string trainer, Context::ProgramBeside("cherry-trainer"));
  const std::string tokenizer_path = absl::StrCat(checkpoint.directory, "/", kTokenizerFile);
  ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(tokenizer_path));
  ASSIGN_OR_RETURN(const TokenizerFacts facts, ReadTokenizerFacts(tokenizer, tokenizer_path));
  ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, PromptTokens(*flags, facts, &tokenizer));
  v1::GenerateRequest request = flags->generate;
  request.set_checkpoint_directory(checkpoint.directory);
  request.mutable_prompt()->Assign(prompt.begin(), prompt.end());
  request.set_draft_tokens(flags->speculative ? flags->draft_tokens : 0);
  if (!flags->seeded) {
    request.set_seed(static_cast<int64_t>(std::random_device()() >> 1));
  }
  TextStream stream(
      [&tokenizer](absl::Span<const int32_t> tokens) {
        // A vocabulary that was padded has ids without text.
        std::vector<int32_t> known;
        std::copy_if(tokens.begin(), tokens.end(), std::back_inserter(known),
                     [&](int32_t token) { return tokenizer.IdToToken(token).has_value(); });
        return tokenizer.Decode(known, true);
      },
      prompt);
  const bool live = !context->structured();
  std::string text;
  std::vector<int32_t> ids;
  bool begun = false;
  const auto show = [&](absl::StatusOr<std::string> piece) -> absl::Status {
    RETURN_IF_ERROR(piece.status());
    text += *piece;
    if (live) {
      context->out() << (begun ? "" : flags->prompt) << *piece << std::flush;
      begun = true;
    }
    return absl::OkStatus();
  };
  const absl::StatusOr<GenerateResult> result = RunGenerate(trainer, request, [&](int32_t token) {
    ids.push_back(token);
    return show(stream.Add(token));
  });
  if (!result.ok() && !begun) {
    return result.status();
  }
  RETURN_IF_ERROR(show(stream.Finish()));
  if (live) {
    context->out() << "\n";
  }
  RETURN_IF_ERROR(result.status());
  if (live && flags->speculative) {
    context->err() << SpeculationText(*result);
  }
  return live ? absl::OkStatus() : PrintGenerated(flags->prompt, text, ids, *result, context);
}

void AddRef(CLI::App* command, const std::shared_ptr<CheckpointFlags>& flags) {
  command
      ->add_option("REF", flags->ref,
                   "JOB, JOB:best, JOB:latest, JOB:STEP, model:NAME, or a directory as /path or ./path")
      ->required();
  command->add_option("--checkpoint-root", flags->checkpoint_root,
                      "Where checkpoints lie (default: HOME/checkpoints)");
}

}  // namespace

void RegisterCheckpointCommands(CLI::App& app, Context* context) {
  CLI::App* group =
      AddGroup(app, "checkpoint", "Verify and export checkpoints", "cherry checkpoint verify ko-base");
  auto verify = std::make_shared<CheckpointFlags>();
  AddRef(AddCommand(*group, context, "verify", "Read a checkpoint back against its checksums",
                    "cherry checkpoint verify ko-base:latest",
                    [verify, context] { return RunVerify(verify, context); }),
         verify);
  auto flags = std::make_shared<CheckpointFlags>();
  CLI::App* command = AddCommand(*group, context, "export", "Write a checkpoint as a Hugging Face directory",
                                 "cherry checkpoint export ko-base:best --output ko-hf",
                                 [flags, context] { return RunExport(flags, context); });
  AddRef(command, flags);
  ExportOptions& options = flags->export_options;
  command->add_option("--output", options.output, "Directory to write")->required();
  const std::map<std::string, ExportFormat> formats = {{"hf", ExportFormat::kHuggingFace},
                                                       {"cherry", ExportFormat::kCherry}};
  command->add_option("--format", options.format, "hf (transformers opens it) or cherry (with the optimizer)")
      ->transform(CLI::CheckedTransformer(formats))
      ->default_str("hf");
  command->add_flag("--force", options.force, "Write into a directory that is not empty");
}

void RegisterGenerateCommand(CLI::App& app, Context* context) {
  auto flags = std::make_shared<CheckpointFlags>();
  CLI::App* command = AddCommand(app, context, "generate", "Sample text from a checkpoint",
                                 "cherry generate ko-base --prompt '문서를' --max-tokens 40",
                                 [flags, context] { return RunGenerateCommand(flags, context); });
  AddRef(command, flags);
  v1::GenerateRequest* request = &flags->generate;
  request->set_max_new_tokens(64);
  request->set_temperature(0.8);
  command->add_option("--prompt", flags->prompt, "What the text begins with");
  command->add_flag("--chat", flags->chat, "The prompt is what a user says; the model answers");
  command
      ->add_option_function<int32_t>(
          "--max-tokens", [request](const int32_t& value) { request->set_max_new_tokens(value); },
          "Most tokens to add (default 64)")
      ->check(CLI::Range(1, 1 << 20));
  command
      ->add_option_function<double>(
          "--temperature", [request](const double& value) { request->set_temperature(value); },
          "0: always the likeliest token (default 0.8)")
      ->check(CLI::Range(0.0, 100.0));
  command
      ->add_option_function<int32_t>(
          "--top-k", [request](const int32_t& value) { request->set_top_k(value); },
          "Only among the k likeliest tokens; 0: all (default)")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option_function<double>(
          "--top-p", [request](const double& value) { request->set_top_p(value); },
          "Only among the likeliest tokens that together reach p; 0: all (default)")
      ->check(CLI::Range(0.0, 1.0));
  command->add_option_function<int64_t>(
      "--seed",
      [flags](const int64_t& value) {
        flags->generate.set_seed(value);
        flags->seeded = true;
      },
      "The same seed gives the same text (default: a new one each time)");
  command->add_flag("--speculative", flags->speculative,
                    "Draft with the model's chain, or one round of its loops: the same text, sooner");
  command->add_option("--draft-tokens", flags->draft_tokens, "Tokens drafted at a time (default 3)")
      ->check(CLI::Range(1, 16));
}

}  // namespace cherry::client
