// SPDX-License-Identifier: Apache-2.0
//
// The demo itself, from beginning to end and to premature ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <fstream>
#include <iterator>
#include <set>

#include "common/unique_fd.h"
#include "tests/lab/harness/child_process.h"
#include "tests/lab/harness/run_directory.h"
#include "tests/lab/process_tree.h"

namespace lockhost::lab {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// Whose lock nobody holds: other labs may run on this machine.
std::set<std::string> AbandonedRunDirectories() {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/tmp")) {
    const std::string name = entry.path().filename();
    if (name.rfind("lockhost-lab-", 0) != 0) continue;
    const UniqueFd lock(open((entry.path() / "lock").c_str(), O_RDWR | O_CLOEXEC));
    if (lock.valid() && flock(lock.get(), LOCK_EX | LOCK_NB) == 0) found.insert(name);
  }
  return found;
}

class DemoTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = RunDirectory::Create(testing::TempDir());
    ASSERT_TRUE(made.ok()) << made.status();
    directory_ = *std::move(made);
  }
  std::string Output() const { return directory_->path() + "/output"; }
  std::string Json() const { return directory_->path() + "/demo.json"; }

  void Start(std::vector<std::string> flags) {
    ChildSpec spec = {.name = "lockhost-demo",
                      .argv = {LOCKHOST_DEMO_PROGRAM, "--quick", "--json=" + Json()},
                      .user = std::nullopt,
                      .inherited_fds = {},
                      .log_path = Output()};
    spec.argv.insert(spec.argv.end(), flags.begin(), flags.end());
    auto demo = ChildProcess::Start(spec);
    ASSERT_TRUE(demo.ok()) << demo.status();
    demo_ = *std::move(demo);
  }

  // Waits until agent, lockhostd and a guest agent run, and returns their pids.
  std::vector<pid_t> AwaitDaemons() {
    std::vector<pid_t> pids;
    const pid_t demo = demo_.pid();
    EXPECT_TRUE(Await([&] {
      std::set<std::string> names;
      pids.clear();
      for (const auto& [pid, name] : ChildrenOf(demo)) {
        pids.push_back(pid);
        names.insert(name);
      }
      return names.count("lockhost-agent") && names.count("lockhostd") &&
             names.count("lockhost-guestd");
    })) << ReadAll(Output());
    return pids;
  }

  std::unique_ptr<RunDirectory> directory_;
  ChildProcess demo_;
};

void ExpectFields(const Struct& object, std::initializer_list<const char*> names) {
  for (const char* name : names) EXPECT_TRUE(object.fields().count(name)) << name;
}

void ExpectRow(const Struct& row) {
  ExpectFields(row, {"subject", "vcpu_ratio", "vcpus", "cs_ns", "runs", "throughput_per_s",
                     "acquire_ns", "fairness", "lhp", "wasted_spin_share", "false_park_share"});
  ExpectFields(row.fields().at("throughput_per_s").struct_value(), {"mean", "stddev"});
  ExpectFields(row.fields().at("acquire_ns").struct_value(),
               {"p50", "p99", "p999", "p9999", "p99999", "max"});
  EXPECT_EQ(row.fields().at("exclusion_errors").number_value(), 0);
}

TEST_F(DemoTest, QuickRunSaysEverythingAndLeavesNothing) {
  Start({});
  const std::vector<pid_t> daemons = AwaitDaemons();
  absl::Status end = absl::OkStatus();
  ASSERT_TRUE(Await([&] { return !(end = demo_.Check()).ok(); }, std::chrono::seconds(200)));
  ASSERT_THAT(std::string(end.message()), testing::HasSubstr("exit code 0")) << ReadAll(Output());

  Struct json;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(ReadAll(Json()), &json).ok());
  ExpectFields(json, {"source", "kvm", "hint_delivery_us", "hint_agreement", "perturbation",
                      "subjects", "machine", "kernel", "cpus", "date"});
  for (const char* path : {"grpc", "direct"}) {
    ExpectFields(json.fields().at("hint_delivery_us").struct_value(), {path});
    ExpectFields(
        json.fields().at("hint_delivery_us").struct_value().fields().at(path).struct_value(),
        {"p50", "p99"});
    ExpectFields(json.fields().at("hint_agreement").struct_value(), {path});
  }
  ExpectFields(json.fields().at("perturbation").struct_value(),
               {"idle_ratio", "extra_switches_per_event"});
  const auto& rows = json.fields().at("subjects").list_value();
  const bool boosted =
      json.fields().at("absent").struct_value().fields().count("subjects.lockhost-boost") == 0;
  EXPECT_EQ(rows.values_size(), boosted ? 42 : 36);
  for (const Value& row : rows.values()) ExpectRow(row.struct_value());
  for (const pid_t pid : daemons) EXPECT_FALSE(IsAlive(pid));
  EXPECT_THAT(AbandonedRunDirectories(), testing::IsEmpty());
}

TEST_F(DemoTest, KilledItLeavesNoProcess) {
  Start({});
  const std::vector<pid_t> daemons = AwaitDaemons();
  demo_.Kill();
  for (const pid_t pid : daemons) {
    EXPECT_TRUE(Await([&] { return !IsAlive(pid); })) << "pid " << pid << " lives on";
  }
}

TEST_F(DemoTest, InterruptedItLeavesNothing) {
  Start({});
  const std::vector<pid_t> daemons = AwaitDaemons();
  kill(demo_.pid(), SIGINT);
  absl::Status end = absl::OkStatus();
  ASSERT_TRUE(Await([&] { return !(end = demo_.Check()).ok(); }));
  EXPECT_THAT(std::string(end.message()), testing::HasSubstr("exit code 130"));
  EXPECT_THAT(ReadAll(Output()), testing::HasSubstr("interrupted"));
  for (const pid_t pid : daemons) EXPECT_FALSE(IsAlive(pid));
  EXPECT_THAT(AbandonedRunDirectories(), testing::IsEmpty());
}

TEST_F(DemoTest, ADaemonThatDiesIsNamed) {
  Start({});
  AwaitDaemons();
  for (const auto& [pid, name] : ChildrenOf(demo_.pid())) {
    if (name == "lockhostd") kill(pid, SIGKILL);
  }
  absl::Status end = absl::OkStatus();
  ASSERT_TRUE(Await([&] { return !(end = demo_.Check()).ok(); }));
  EXPECT_THAT(std::string(end.message()), testing::HasSubstr("exit code 1"));
  EXPECT_THAT(ReadAll(Output()), testing::HasSubstr("lockhostd was ended by signal 9"));
}

TEST_F(DemoTest, FlagsThatMakeNoSenseAreRefused) {
  Start({"--backend=abacus"});
  absl::Status end = absl::OkStatus();
  ASSERT_TRUE(Await([&] { return !(end = demo_.Check()).ok(); }));
  EXPECT_THAT(ReadAll(Output()), testing::HasSubstr("--backend"));
}

}  // namespace
}  // namespace lockhost::lab
