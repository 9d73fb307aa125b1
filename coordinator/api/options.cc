#include "coordinator/api/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "common/version.h"

namespace cherry::coordinator {
namespace {

constexpr int kWrongRequest = 2;

// Durations are texts like "10s" until they are parsed.
struct Flags {
  ServerOptions options;
  std::string lease = "10s";
  std::string heartbeat = "2s";
  std::string backoff_base = "1s";
};

std::string DefaultHome() {
  if (const char* home = std::getenv("CHERRY_HOME"); home != nullptr && *home != '\0') {
    return home;
  }
  const char* user = std::getenv("HOME");
  return user == nullptr ? "" : absl::StrCat(user, "/.cherry");
}

absl::Status ParseDuration(const std::string& text, const char* flag, absl::Duration* duration) {
  if (!absl::ParseDuration(text, duration) || *duration <= absl::ZeroDuration()) {
    return InvalidField("DURATION_INVALID", flag,
                        absl::StrCat(flag, ": '", text, "' is not a positive duration"),
                        "write it like 500ms, 10s or 2m");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Server>> Start(const Flags& flags) {
  ServerOptions options = flags.options;
  RETURN_IF_ERROR(ParseDuration(flags.lease, "--lease", &options.config.lease));
  RETURN_IF_ERROR(ParseDuration(flags.heartbeat, "--heartbeat", &options.config.heartbeat));
  RETURN_IF_ERROR(ParseDuration(flags.backoff_base, "--backoff-base", &options.config.backoff_base));
  return Server::Start(options);
}

void AddFlags(CLI::App* app, Flags* flags) {
  ServerOptions* options = &flags->options;
  options->home = DefaultHome();
  app->set_version_flag("--version", absl::StrCat("cherry-coordinator ", kVersion));
  app->add_option("--home", options->home, "Directory of the cluster's state ($CHERRY_HOME or ~/.cherry)");
  app->add_option("--listen", options->listen, "HOST:PORT of the API; off loopback it needs TLS")
      ->capture_default_str();
  app->add_option("--metrics-address", options->metrics_address,
                  "HOST:PORT of Prometheus' plain HTTP, on loopback of the page too; or none")
      ->capture_default_str();
  app->add_option("--page-address", options->page_address,
                  "HOST:PORT of the page over TLS, for the token in HOME/page-token; or none")
      ->capture_default_str();
  app->add_option("--tls-cert", options->tls_cert, "PEM file of the server's certificate");
  app->add_option("--tls-key", options->tls_key, "PEM file of its key");
  app->add_option("--tls-ca", options->tls_ca, "PEM file of the authority that signs clients' certificates");
  app->add_option("--data-root", options->data_root, "Root of datasets, shared with workers (HOME/data)");
  app->add_option("--checkpoint-root", options->checkpoint_root,
                  "Root of checkpoints, shared too (HOME/checkpoints)");
  app->add_option("--lease", flags->lease, "Silence after which a worker is lost")->capture_default_str();
  app->add_option("--heartbeat", flags->heartbeat, "How often workers report")->capture_default_str();
  app->add_option("--backoff-base", flags->backoff_base,
                  "First wait before another attempt; doubles up to 60s")
      ->capture_default_str();
  app->footer("Example:\n  cherry-coordinator --home ~/.cherry --listen 127.0.0.1:7070");
}

}  // namespace

Started StartFromCommandLine(int argc, char** argv) {
  InitLog("cherry-coordinator");
  CLI::App app("Owns the jobs, workers and checkpoints of one Cherry cluster.");
  Flags flags;
  AddFlags(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {nullptr, app.exit(error)};
  }
  absl::StatusOr<std::unique_ptr<Server>> server = Start(flags);
  if (!server.ok()) {
    std::fprintf(stderr, "error: %s\n", Describe(server.status()).c_str());
    return {nullptr, kWrongRequest};
  }
  const std::string& listen = flags.options.listen;
  const std::string metrics = (*server)->metrics_address();
  const std::string page = (*server)->page_address();
  std::printf("coordinator  %s:%d%s%s%s%s%s%s\n", listen.substr(0, listen.rfind(':')).c_str(),
              (*server)->port(), metrics.empty() ? "" : "   metrics http://", metrics.c_str(),
              metrics.empty() ? "" : "/metrics", page.empty() ? "" : "   page https://", page.c_str(),
              page.empty() ? "" : "/");
  std::fflush(stdout);
  return {*std::move(server)};
}

}  // namespace cherry::coordinator
