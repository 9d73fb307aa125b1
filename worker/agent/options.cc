#include "worker/agent/options.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/ids.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::worker {
namespace {

// As given, before it is checked.
struct Raw {
  std::string name;
  std::string home;
  std::string data_root;
  std::string checkpoint_root;
  std::string trainer;
  std::string coordinator = "127.0.0.1:7070";
  std::string metrics_address = "127.0.0.1:7072";
  std::vector<std::string> labels;
  std::string grace = "25s";
  std::string offline_cap = "1h";
};

std::string FromEnvironment(const char* name, const std::string& otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

// The host's name cut to the form of a name: lower case, digits and '-'.
std::string DefaultName() {
  char host[256] = {};
  std::string name;
  if (gethostname(host, sizeof(host) - 1) == 0) {
    for (const char c : std::string(host).substr(0, 63)) {
      const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
      name.push_back(absl::ascii_isalnum(static_cast<unsigned char>(lower)) ? lower : '-');
    }
  }
  return ValidateName(name, "--name").ok() ? name : "worker";
}

void AddFlags(CLI::App* app, Raw* raw, Options* options) {
  app->add_option("--name", raw->name, "Unique in the cluster; default the host's name");
  app->add_option("--coordinator", raw->coordinator, "HOST:PORT of the coordinator")
      ->envname("CHERRY_COORDINATOR")
      ->capture_default_str();
  app->add_option("--home", raw->home, "State, logs and token; default $CHERRY_HOME or ~/.cherry");
  app->add_option("--data-root", raw->data_root, "Datasets; default HOME/data");
  app->add_option("--checkpoint-root", raw->checkpoint_root, "Checkpoints; default HOME/checkpoints");
  app->add_option("--slots", options->slots,
                  "Ranks at once; default one for each GPU, or one. More than there are GPUs: CPU slots");
  app->add_option("--labels", raw->labels, "KEY=VALUE, for node_selector; may be repeated")->delimiter(',');
  app->add_option("--address", options->address, "Local address that the ranks' collectives use");
  app->add_option("--metrics-address", raw->metrics_address, "HOST:PORT of the Prometheus page")
      ->capture_default_str();
  app->add_option("--trainer", raw->trainer, "The trainer program; default cherry-trainer beside this one");
  app->add_option("--tls-cert", options->tls_cert, "PEM certificate of this worker");
  app->add_option("--tls-key", options->tls_key, "PEM key of this worker");
  app->add_option("--tls-ca", options->tls_ca, "PEM certificate that the coordinator's is checked against");
  app->add_option("--grace", raw->grace, "On SIGTERM, time for the ranks to save a checkpoint")
      ->capture_default_str();
  app->add_option("--offline-cap", raw->offline_cap, "How long to train on while the coordinator is away")
      ->capture_default_str();
  app->set_version_flag("--version", absl::StrCat("cherry-worker ", kVersion));
  app->footer("Example: cherry-worker --name w0 --home ~/.cherry --slots 2");
}

absl::StatusOr<absl::Duration> ParseTime(const std::string& text, const char* flag) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < absl::ZeroDuration()) {
    return InvalidField("DURATION_INVALID", flag, absl::StrCat(flag, ": '", text, "' is not a duration"),
                        "give for example 30s, 10m or 1h30m");
  }
  return duration;
}

absl::Status ParseLabels(const std::vector<std::string>& labels, Options* options) {
  for (const std::string& label : labels) {
    const std::vector<std::string> parts = absl::StrSplit(label, absl::MaxSplits('=', 1));
    if (parts.size() != 2 || parts[0].empty()) {
      return InvalidField("LABEL_INVALID", "--labels",
                          absl::StrCat("--labels: '", label, "' is not KEY=VALUE"),
                          "give for example --labels gpu=H100,zone=a");
    }
    options->labels[parts[0]] = parts[1];
  }
  return absl::OkStatus();
}

std::string Absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

std::string BesideThisProgram(const char* name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (error ? std::filesystem::path(name) : self.parent_path() / name).string();
}

absl::Status Check(const Raw& raw, Options* options) {
  options->name = raw.name.empty() ? DefaultName() : raw.name;
  RETURN_IF_ERROR(ValidateName(options->name, "--name"));
  const std::string home =
      raw.home.empty() ? FromEnvironment("CHERRY_HOME", FromEnvironment("HOME", ".") + "/.cherry") : raw.home;
  options->home = Absolute(home);
  options->data_root = Absolute(raw.data_root.empty() ? options->home + "/data" : raw.data_root);
  options->checkpoint_root =
      Absolute(raw.checkpoint_root.empty() ? options->home + "/checkpoints" : raw.checkpoint_root);
  options->trainer = Absolute(raw.trainer.empty() ? BesideThisProgram("cherry-trainer") : raw.trainer);
  if (access(options->trainer.c_str(), X_OK) != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, "TRAINER_MISSING", "--trainer",
                 absl::StrCat("--trainer: ", options->trainer, " is not a program"),
                 "build cherry-trainer, or give --trainer its path");
  }
  ASSIGN_OR_RETURN(options->coordinator, ParseEndpoint(raw.coordinator, "--coordinator"));
  ASSIGN_OR_RETURN(options->metrics_address, ParseEndpoint(raw.metrics_address, "--metrics-address"));
  ASSIGN_OR_RETURN(options->grace, ParseTime(raw.grace, "--grace"));
  ASSIGN_OR_RETURN(options->offline_cap, ParseTime(raw.offline_cap, "--offline-cap"));
  if (options->address.empty()) {
    ASSIGN_OR_RETURN(options->address, LocalAddressTowards(options->coordinator));
  }
  return ParseLabels(raw.labels, options);
}

}  // namespace

absl::StatusOr<ParsedOptions> ParseOptions(int argc, char** argv) {
  ParsedOptions parsed;
  Raw raw;
  CLI::App app("cherry-worker: starts and watches the training processes of one host");
  AddFlags(&app, &raw, &parsed.options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    constexpr int kWrongRequest = 2;
    parsed.exit = true;
    parsed.exit_code = app.exit(error) == 0 ? 0 : kWrongRequest;
    return parsed;
  }
  RETURN_IF_ERROR(Check(raw, &parsed.options));
  return parsed;
}

absl::StatusOr<std::string> LocalAddressTowards(const Endpoint& endpoint) {
  if (IsLoopback(endpoint.host)) {
    return std::string("127.0.0.1");
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(endpoint.host.c_str(), absl::StrCat(endpoint.port).c_str(), &hints, &found);
  if (error != 0) {
    return Error(absl::StatusCode::kUnavailable, "HOST_UNKNOWN", "--coordinator",
                 absl::StrCat("--coordinator: ", endpoint.host, ": ", gai_strerror(error)),
                 "check the name, or give --address");
  }
  // Connecting a datagram socket sends nothing; it makes the kernel choose the interface.
  std::string address;
  const int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage local = {};
  socklen_t length = sizeof(local);
  char text[NI_MAXHOST] = {};
  if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) == 0 &&
      getnameinfo(reinterpret_cast<sockaddr*>(&local), length, text, sizeof(text), nullptr, 0,
                  NI_NUMERICHOST) == 0) {
    address = text;
  }
  if (fd >= 0) {
    close(fd);
  }
  freeaddrinfo(found);
  if (address.empty()) {
    return Error(absl::StatusCode::kUnavailable, "NO_ROUTE", "--address",
                 absl::StrCat("no local address leads to ", endpoint.host), "give --address");
  }
  return address;
}

}  // namespace cherry::worker
