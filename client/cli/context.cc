#include "client/cli/context.h"

#include <limits.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/output.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/status.h"

namespace cherry::client {
namespace {

constexpr char kDefaultCoordinator[] = "127.0.0.1:7070";
constexpr int kErrorLines = 3;

std::string EnvOr(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

const std::map<std::string, Output>& Formats() {
  static const auto* const formats = new std::map<std::string, Output>{
      {"table", Output::kTable}, {"wide", Output::kWide}, {"json", Output::kJson}, {"yaml", Output::kYaml},
      {"name", Output::kName},   {"spec", Output::kSpec}, {"csv", Output::kCsv}};
  return *formats;
}

absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text) {
  absl::Duration timeout;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) {
    timeout = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &timeout)) {
    return InvalidField("TYPE_WRONG", "--timeout", absl::StrCat("--timeout: '", text, "' is not a duration"),
                        "write a number with its unit: 90s, 15m, 1h30m");
  }
  if (timeout <= absl::ZeroDuration()) {
    return InvalidField("OUT_OF_RANGE", "--timeout", absl::StrCat("--timeout: ", text, " is not above zero"),
                        "give at least 1s");
  }
  return timeout;
}

absl::Status CheckAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon != std::string::npos && colon > 0 && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
      port > 0 && port < 65536) {
    return absl::OkStatus();
  }
  return InvalidField("ADDRESS_INVALID", "--coordinator",
                      absl::StrCat("--coordinator: '", address, "' is not HOST:PORT"),
                      absl::StrCat("write e.g. ", kDefaultCoordinator));
}

}  // namespace

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitInvalid;
    case absl::StatusCode::kUnavailable:
      return kExitUnreachable;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kResourceExhausted:
      return kExitRefused;
    case absl::StatusCode::kDeadlineExceeded:
      return kExitTimedOut;
    case absl::StatusCode::kCancelled:
      return kExitCancelled;
    default:
      return kExitJobFailed;
  }
}

std::string FormatError(const absl::Status& status) {
  std::string text = Describe(status);
  std::replace(text.begin(), text.end(), '\n', ' ');
  const bool detached = InfoOf(status).reason() == kDetached;
  const std::string line =
      absl::StrCat(detached ? "" : "error: ", text.empty() ? absl::StatusCodeToString(status.code()) : text);
  // As narrow as three lines allow, so that a terminal does not break the lines itself.
  for (int width = 88;; width += 20) {
    const std::string wrapped = Wrap(line, width, 2);
    if (std::count(wrapped.begin(), wrapped.end(), '\n') < kErrorLines) {
      return wrapped + "\n";
    }
  }
}

// What CLI11 fills in; read by ResolveOptions once the command line is parsed.
struct GlobalFlags {
  std::string coordinator;
  std::string home;
  std::string ns;
  std::string output = "table";
  std::string timeout;
  std::string request_id;
  std::string token_file;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
};

Context::Context(std::ostream* out, std::ostream* err, bool terminal, ClientFactory factory)
    : out_(out),
      err_(err),
      terminal_(terminal),
      factory_(std::move(factory)),
      flags_(std::make_unique<GlobalFlags>()) {}

Context::~Context() = default;

void Context::AddGlobalOptions(CLI::App& app) {
  const std::string group = "Everywhere";
  const auto add = [&](const char* name, std::string* value, const char* what) {
    return app.add_option(name, *value, what)->group(group)->take_last();
  };
  add("--coordinator", &flags_->coordinator, "HOST:PORT; default $CHERRY_COORDINATOR or 127.0.0.1:7070");
  add("--home", &flags_->home, "default $CHERRY_HOME or ~/.cherry");
  add("-n,--namespace", &flags_->ns, "namespace of jobs; default: `default`, for lists all");
  add("-o,--output", &flags_->output, "table, wide, json, yaml or name");
  add("--timeout", &flags_->timeout, "of a call with its retries (30s), or of a wait (none)");
  add("--request-id", &flags_->request_id, "repeat an earlier request safely: its UUID");
  add("--token-file", &flags_->token_file, "default HOME/token");
  add("--tls-cert", &flags_->tls_cert, "client certificate, PEM");
  add("--tls-key", &flags_->tls_key, "its key, PEM");
  add("--tls-ca", &flags_->tls_ca, "authority of the coordinator's certificate, PEM");
}

absl::Status Context::ResolveOptions() {
  home_ = flags_->home.empty() ? EnvOr("CHERRY_HOME", EnvOr("HOME", "/") + "/.cherry") : flags_->home;
  home_ = std::filesystem::absolute(home_).lexically_normal().string();
  if (!flags_->ns.empty()) {
    RETURN_IF_ERROR(ValidateName(flags_->ns, "--namespace"));
    ns_ = flags_->ns;
    ns_given_ = true;
  }
  const auto format = Formats().find(flags_->output);
  if (format == Formats().end()) {
    return InvalidField("VALUE_UNKNOWN", "--output",
                        absl::StrCat("--output: '", flags_->output, "' is not a format"),
                        "use table, wide, json, yaml or name");
  }
  output_ = format->second;
  if (!flags_->timeout.empty()) {
    ASSIGN_OR_RETURN(timeout_, ParseTimeout(flags_->timeout));
    timeout_given_ = true;
  }
  request_id_ = flags_->request_id;
  client_options_.address = flags_->coordinator.empty()
                                ? EnvOr("CHERRY_COORDINATOR", LocalAddress().value_or(kDefaultCoordinator))
                                : flags_->coordinator;
  RETURN_IF_ERROR(CheckAddress(client_options_.address));
  client_options_.token_required = !flags_->token_file.empty();
  client_options_.tls_cert = flags_->tls_cert;
  client_options_.tls_key = flags_->tls_key;
  client_options_.tls_ca = flags_->tls_ca;
  // The token of this machine's own cluster goes to no other host.
  const bool remote = !flags_->tls_ca.empty();
  client_options_.token_file = client_options_.token_required ? flags_->token_file
                               : remote                       ? ""
                                                              : home_ + "/token";
  client_options_.timeout = timeout_;
  if (isatty(STDERR_FILENO) == 1) {
    client_options_.on_retry = [this](const absl::Status& status) {
      err() << status.message() << "; trying again for " << absl::FormatDuration(timeout_) << std::endl;
    };
  }
  return absl::OkStatus();
}

std::optional<std::string> Context::LocalAddress() const {
  // `cherry local start --port P` leaves its address here.
  const auto address = ReadFile(home_ + kLocalAddressFile, 256);
  if (!address.ok()) {
    return std::nullopt;
  }
  return std::string(absl::StripAsciiWhitespace(*address));
}

absl::StatusOr<Client*> Context::Connect() {
  if (client_ == nullptr) {
    ASSIGN_OR_RETURN(client_, factory_(client_options_));
  }
  return client_.get();
}

absl::StatusOr<std::unique_ptr<Client>> Context::ConnectTo(const std::string& address,
                                                           absl::Duration timeout) const {
  ClientOptions options;
  options.address = address;
  options.token_file = home_ + "/token";
  options.timeout = timeout;
  return factory_(options);
}

int Context::width() const {
  winsize size{};
  if (terminal_ && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return 100;
}

std::string Context::home() const { return home_; }

absl::Time Context::WaitDeadline() const {
  return timeout_given_ ? absl::Now() + timeout_ : absl::InfiniteFuture();
}

std::string Context::RequestId() const { return request_id_.empty() ? NewUuid() : request_id_; }

absl::StatusOr<std::string> Context::JobResource(absl::string_view text) const {
  if (absl::StartsWith(text, "namespaces/")) {
    ASSIGN_OR_RETURN(const JobName name, ParseJobName(text));
    return name.Resource();
  }
  const size_t slash = text.find('/');
  JobName name{ns_, std::string(text)};
  if (slash != absl::string_view::npos) {
    name.ns = std::string(text.substr(0, slash));
    name.job = std::string(text.substr(slash + 1));
  }
  RETURN_IF_ERROR(ValidateName(name.ns, "namespace"));
  RETURN_IF_ERROR(ValidateName(name.job, "name"));
  return name.Resource();
}

absl::Status Context::Print(const google::protobuf::Message& message) {
  ASSIGN_OR_RETURN(const std::string text, output_ == Output::kYaml ? ToYaml(message) : ToJson(message));
  out() << text << std::flush;
  return absl::OkStatus();
}

absl::Status Context::PrintItems(const std::vector<const google::protobuf::Message*>& items) {
  ASSIGN_OR_RETURN(const std::string text,
                   output_ == Output::kYaml ? ItemsToYaml(items) : ItemsToJson(items));
  out() << text << std::flush;
  return absl::OkStatus();
}

absl::StatusOr<std::string> Context::ProgramBeside(absl::string_view name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path program = self.parent_path() / std::string(name);
  if (error || access(program.c_str(), X_OK) != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, "PROGRAM_MISSING", "",
                 absl::StrCat(program.string(), ": there is no such program"),
                 "build the four programs; they stand in one directory");
  }
  return program.string();
}

CLI::App* AddCommand(CLI::App& parent, Context* context, const std::string& name,
                     const std::string& description, const std::string& example,
                     std::function<absl::Status()> run) {
  CLI::App* const command = parent.add_subcommand(name, description);
  command->footer(absl::StrCat("Example:\n  ", absl::StrJoin(absl::StrSplit(example, '\n'), "\n  ")));
  command->callback([context, run = std::move(run)] {
    absl::Status status = context->ResolveOptions();
    context->set_result(status.ok() ? run() : status);
  });
  return command;
}

CLI::App* AddGroup(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::string& example) {
  CLI::App* const group = parent.add_subcommand(name, description);
  group->require_subcommand(1);
  group->footer(absl::StrCat("Example:\n  ", absl::StrJoin(absl::StrSplit(example, '\n'), "\n  ")));
  return group;
}

}  // namespace cherry::client
