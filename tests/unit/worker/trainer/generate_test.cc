// `cherry-trainer generate` as a process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/exit_codes.h"
#include "common/frame.h"
#include "tests/unit/worker/trainer/driver.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

struct Generated {
  int exit_code = -1;
  std::vector<int32_t> tokens;
  v1::GenerateDone done;
};

Generated Generate(const v1::GenerateRequest& request) {
  int in[2];
  int out[2];
  EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  const std::string program = absl::StrCat(std::getenv("CHERRY_BIN"), "/cherry-trainer");
  const pid_t pid = fork();
  if (pid == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execl(program.c_str(), program.c_str(), "generate", static_cast<char*>(nullptr));
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  EXPECT_TRUE(WriteFrame(in[1], request).ok());
  close(in[1]);
  Generated generated;
  v1::GenerateReply reply;
  while (ReadFrame(out[0], &reply).ok()) {
    if (reply.has_done()) {
      generated.done = reply.done();
      break;
    }
    generated.tokens.push_back(reply.token());
  }
  close(out[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  generated.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return generated;
}

class GenerateTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    workspace_ = new Workspace;
    const AttemptResult result = RunAttempt(*workspace_, workspace_->Attempt(workspace_->Spec(60), 1, 1));
    ASSERT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    directory_ = absl::StrCat(workspace_->checkpoint_root(), "/", result.checkpoints[0].path());
  }
  static void TearDownTestSuite() {
    delete workspace_;
    workspace_ = nullptr;
  }

  static v1::GenerateRequest Request() {
    v1::GenerateRequest request;
    request.set_checkpoint_directory(directory_);
    request.add_prompt(5);
    request.add_prompt(29);
    request.set_max_new_tokens(12);
    request.set_threads(1);
    return request;
  }

  static Workspace* workspace_;
  static std::string directory_;
};

Workspace* GenerateTest::workspace_ = nullptr;
std::string GenerateTest::directory_;

TEST_F(GenerateTest, LikeliestTokensFollowTheHabitOfTheText) {
  const Generated generated = Generate(Request());
  EXPECT_EQ(generated.exit_code, kExitDone) << generated.done.error();
  ASSERT_FALSE(generated.tokens.empty());
  // The text's rule: after t mostly comes 3 + (5 t + 1) mod 61.
  EXPECT_EQ(generated.tokens[0], 3 + (29 * 5 + 1) % 61);
}

TEST_F(GenerateTest, TheSameSeedGivesTheSameTokens) {
  v1::GenerateRequest request = Request();
  request.set_temperature(1.5);
  request.set_seed(7);
  const Generated first = Generate(request);
  const Generated second = Generate(request);
  EXPECT_EQ(first.tokens, second.tokens);
  request.set_seed(8);
  EXPECT_NE(Generate(request).tokens, first.tokens);
}

TEST_F(GenerateTest, RefusesATokenOutsideTheVocabulary) {
  v1::GenerateRequest request = Request();
  request.add_prompt(64);
  const Generated generated = Generate(request);
  EXPECT_EQ(generated.exit_code, kExitUser);
  EXPECT_EQ(generated.done.reason(), v1::GenerateDone::FAILED);
  EXPECT_THAT(generated.done.error(), HasSubstr("token 64 is not in 0..63"));
}

TEST_F(GenerateTest, RefusesADirectoryThatIsNoCheckpoint) {
  v1::GenerateRequest request = Request();
  request.set_checkpoint_directory(workspace_->path());
  const Generated generated = Generate(request);
  EXPECT_EQ(generated.exit_code, kExitUser);
  EXPECT_THAT(generated.done.error(), HasSubstr("manifest.json: missing"));
}

// Checkpoints of a model with a chain and of one with loops.
std::vector<std::string> Drafting(const Workspace& workspace) {
  const AttemptResult base = RunAttempt(workspace, workspace.Attempt(workspace.Spec(30), 11, 1));
  std::vector<std::string> directories;
  int64_t epoch = 12;
  for (const v1::JobSpec& spec : {workspace.FuseSpec(20), workspace.CompressSpec(18)}) {
    const AttemptResult result =
        RunAttempt(workspace, workspace.MethodAttempt(spec, base.checkpoints[0], epoch++, 1));
    EXPECT_EQ(result.ranks[0].exit_code, kExitDone) << result.ranks[0].log;
    directories.push_back(absl::StrCat(workspace.checkpoint_root(), "/", result.checkpoints[0].path()));
  }
  return directories;
}

TEST_F(GenerateTest, DraftsChangeNoToken) {
  for (const std::string& directory : Drafting(*workspace_)) {
    SCOPED_TRACE(directory);
    int64_t accepted = 0;
    for (const double temperature : {0.0, 1.0}) {
      for (int32_t prompt = 3; prompt < 11; ++prompt) {
        v1::GenerateRequest request = Request();
        request.set_checkpoint_directory(directory);
        request.clear_prompt();
        request.add_prompt(1);
        request.add_prompt(prompt);
        request.set_max_new_tokens(40);
        request.set_temperature(temperature);
        request.set_seed(prompt);
        const Generated plain = Generate(request);
        for (const int drafts : {1, 3}) {
          request.set_draft_tokens(drafts);
          const Generated drafted = Generate(request);
          EXPECT_EQ(drafted.tokens, plain.tokens) << drafts;
          EXPECT_EQ(drafted.done.reason(), plain.done.reason());
          ASSERT_EQ(drafted.done.accepted_size(), drafts) << drafted.done.error();
          EXPECT_LE(drafted.done.accepted(0), drafted.done.drafted(0));
          accepted += drafted.done.accepted(0);
        }
      }
    }
    EXPECT_GT(accepted, 0);
  }
}

TEST_F(GenerateTest, RefusesDraftsOfAModelThatCannotMakeThem) {
  v1::GenerateRequest request = Request();
  request.set_draft_tokens(2);
  const Generated generated = Generate(request);
  EXPECT_EQ(generated.exit_code, kExitUser);
  EXPECT_THAT(generated.done.error(), HasSubstr("nothing to draft with"));
}

}  // namespace
}  // namespace cherry::trainer
