// The completion scripts in the shells that they are for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/unit/client/cli/app_fixture.h"

namespace cherry::client {
namespace {

class CompletionTest : public AppTest {
 protected:
  static std::string OutputOf(const std::string& command) {
    std::string output;
    FILE* const pipe = popen(command.c_str(), "r");
    char buffer[4096];
    while (const size_t size = fread(buffer, 1, sizeof(buffer), pipe)) {
      output.append(buffer, size);
    }
    pclose(pipe);
    return output;
  }
};

TEST_F(CompletionTest, BashCompletesCommandsKindsOptionsAndValues) {
  ASSERT_EQ(Run({"completion", "bash"}), 0);
  const std::string script = Write("cherry.bash", out_);
  const auto complete = [&](const std::string& words) {
    return OutputOf("bash -c 'source " + script + "; COMP_WORDS=(" + words +
                    "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _cherry; echo ${COMPREPLY[@]}'");
  };
  EXPECT_EQ(complete("cherry sub"), "submit\n");
  EXPECT_EQ(complete("cherry get check"), "checkpoints\n");
  EXPECT_EQ(complete("cherry local st"), "start stop status\n");
  EXPECT_EQ(complete("cherry submit --dry"), "--dry-run\n");
  EXPECT_EQ(complete("cherry get jobs -o js"), "json\n");
  EXPECT_EQ(complete("cherry get jobs --state r"), "running\n");
  EXPECT_EQ(complete("cherry get workers --state r"), "ready\n");
  EXPECT_EQ(complete("cherry get checkpoints --state cor"), "corrupt\n");
  // Files are the shell's own business.
  EXPECT_EQ(complete("cherry submit " + directory_ + "/j"), "\n");
  EXPECT_EQ(OutputOf("bash -c 'source " + script + "; complete -p cherry'"),
            "complete -o default -F _cherry cherry\n");
}

// An interactive zsh on a terminal of its own: keys go in, and `cherry` is a function that shows its
// arguments.
constexpr char kZshDriver[] = R"zsh(
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'PS1="> "; cherry() { print -r -- "RAN <${(j:|:)@}>" }; cd -q $ZDOTDIR'
zpty -w shell "source $ZDOTDIR/cherry.zsh; print REA''DY"
zpty -r shell line '*READY*'
zpty -w shell "${(g::)1}"
zpty -r shell line '*RAN <*>*'
print -r -- "$line"
)zsh";

TEST_F(CompletionTest, ZshCompletesCommandsKindsOptionsValuesAndFiles) {
  ASSERT_EQ(Run({"completion", "zsh"}), 0);
  Write("cherry.zsh", out_);
  Write("two words.yaml", "");
  Write("driver.zsh", kZshDriver);
  const auto type = [&](const std::string& keys) {
    const std::string seen = OutputOf(absl::StrCat("ZDOTDIR=", directory_, " TERM=vt100 timeout 20 zsh -f ",
                                                   directory_, "/driver.zsh '", keys, "' 2>&1"));
    const size_t begin = seen.rfind("RAN <");
    return begin == std::string::npos ? seen : seen.substr(begin + 4, seen.rfind('>') - begin - 3);
  };
  EXPECT_EQ(type("cherry sub\\t--dry\\ttwo\\t"), "<submit|--dry-run|two words.yaml>");
  EXPECT_EQ(type("cherry get wor\\t--sta\\tlo\\t-o js\\t"), "<get|workers|--state|lost|-o|json>");
  EXPECT_EQ(type("cherry local sto\\t"), "<local|stop>");
  EXPECT_EQ(type("cherry ge\\tjo\\t"), "<get|jobs>");
  // Two begin alike: as far as they do, then one more letter decides.
  EXPECT_EQ(type("cherry res\\tm\\tko"), "<resume|ko>");
}

}  // namespace
}  // namespace cherry::client
