// SPDX-License-Identifier: Apache-2.0
#include "server/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "agent/channel/packet.h"
#include "tests/agent/support/temp_dir.h"
#include "tests/server/table_fixture.h"

namespace lockhost::server {
namespace {

using testing::HasSubstr;

constexpr uint64_t kNowNs = 10'000'000'000;

class MetricsTest : public testing::Test {
 protected:
  std::string Scrape() { return prometheus::TextSerializer().Serialize(metrics_.Collect()); }

  VmDirectory directory_;
  PublisherStats stats_;
  HostCounters host_;
  Metrics metrics_{"1.2.3", &directory_, &stats_, &host_, Clock{[] { return kNowNs; }}};
};

// What Prometheus' own linter says; empty when it has nothing to say.
std::string PromtoolFindings(const std::string& text) {
  agent::TempDir directory;
  std::ofstream(directory.path() + "/scrape") << text;
  const std::string command = "promtool check metrics < " + directory.path() + "/scrape 2>&1";
  FILE* pipe = popen(command.c_str(), "re");
  std::string output;
  char chunk[256];
  while (fgets(chunk, sizeof(chunk), pipe) != nullptr) output += chunk;
  const int status = pclose(pipe);
  return WEXITSTATUS(status) == 0 && output.empty() ? "" : output + "(non-zero exit)";
}

bool HavePromtool() { return std::system("command -v promtool >/dev/null 2>&1") == 0; }

TEST_F(MetricsTest, AFreshServerAlreadyHasItsSeries) {
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_build_info{version=\"1.2.3\"} 1"));
  EXPECT_THAT(text, HasSubstr("lockhost_agent_connected 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_source_up{source=\"bpf\"} 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_vms 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_hint_events_total 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_vsock_refused_total{reason=\"claimed_twice\"} 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_config_reloads_total{result=\"refused\"} 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_hint_delivery_seconds_count 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_publisher_real_time 0"));
}

TEST_F(MetricsTest, SumsUpTablesAtTheScrape) {
  TestTable table;
  table.Set(0, LOCKHOST_RUN_STATE_RUNNING);
  table.Set(1, LOCKHOST_RUN_STATE_PREEMPTED);
  table.Set(2, LOCKHOST_RUN_STATE_PREEMPTED);
  table.table->SetStealNs(1, 1'500'000'000);
  directory_.SetSource({true, agent::SourceKind::kBpf, ""});
  directory_.Put(MakeRecord(7, 0, table));
  std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_source_up{source=\"bpf\"} 1"));
  EXPECT_THAT(text, HasSubstr("vmm=\"test\",uuid=\"\",accelerator=\"kvm\"} 1"));
  EXPECT_THAT(text, HasSubstr("lockhost_vcpus{vm=\"7\",state=\"preempted\"} 2"));
  EXPECT_THAT(text, HasSubstr("lockhost_vcpus{vm=\"7\",state=\"running\"} 1"));
  EXPECT_THAT(text, HasSubstr("lockhost_vcpus{vm=\"7\",state=\"exited\"} 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_steal_seconds_total{vm=\"7\"} 1.5"));
  table.Set(2, LOCKHOST_RUN_STATE_RUNNING);
  text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_vcpus{vm=\"7\",state=\"running\"} 2"));
}

TEST_F(MetricsTest, TellsOfStreamsReportsAndDelivery) {
  TestTable table;
  const auto record = MakeRecord(7, 0, table);
  directory_.Put(record);
  record->counters().streams = 2;
  record->counters().reports_invalid = 3;
  record->counters().snapshots[2] = 4;
  record->counters().connections.open = 5;
  record->counters().connections.of(Refusal::kFlood) = 6;
  stats_.delivery.Observe(30'000);
  stats_.real_time = true;
  stats_.delivery.Observe(50'000'000);
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_streams{vm=\"7\"} 2"));
  EXPECT_THAT(text, HasSubstr("lockhost_reports_total{vm=\"7\",result=\"invalid\"} 3"));
  EXPECT_THAT(text, HasSubstr("lockhost_snapshots_sent_total{vm=\"7\",reason=\"resync\"} 4"));
  EXPECT_THAT(text, HasSubstr("lockhost_connections{vm=\"7\"} 5"));
  EXPECT_THAT(text, HasSubstr("lockhost_connections_refused_total{vm=\"7\",reason=\"flood\"} 6"));
  EXPECT_THAT(text, HasSubstr("lockhost_connections_refused_total{vm=\"7\",reason=\"silent\"} 0"));
  EXPECT_THAT(text, HasSubstr("lockhost_hint_delivery_seconds_count 2"));
  EXPECT_THAT(text, HasSubstr("lockhost_publisher_real_time 1"));
  EXPECT_THAT(text, HasSubstr("lockhost_hint_delivery_seconds_bucket{le=\"+Inf\"} 2"));
}

// What an agent would send beside its tables.
struct AgentMemory {
  AgentMemory() {
    auto* page = static_cast<lockhost_vcpu_stats*>(books->data());
    page[1].vm_id = 7;
    page[1].run_ns = 2'000'000'000;
    page[1].halted_ns = 500'000'000;
    page[1].migrations = 3;
    page[1].preempted[0] = 1;
    page[1].preempted[23] = 1;
    page[1].preempted_ns = 9'000'000'000;
    page[2].vm_id = 99;  // of a VM that is not in the directory
    figures.updated_at_ns = 1;
    figures.online_cpus = 2;
    figures.overcommit = {1.5, 2.5};
    figures.counter_count = 1;
    agent::SetFieldText(figures.counters[0].id, "hint_events_lost");
    figures.counters[0].value = 4;
    figures.vms[3].vm_id = 7;
    figures.vms[3].load.steal_ratio = {0.25, 0.5};
    figures.vms[3].mode = LOCKHOST_MODE_OVERCOMMITTED;
    agent::SetFieldText(figures.boost_mechanism, "fifo");
    figures.vms[3].boost.ended[0][0] = 5;   // direct, released
    figures.vms[3].boost.denied[1][3] = 6;  // grpc, vm_budget
    figures.vms[3].boost.boosted_ns = 1'500'000'000;
    figures.vms[3].boost.enabled = 1;
    figures.vms[3].kvm_stats.fill(agent::kNotKnown);
    figures.vms[3].kvm_stats[0] = 11;             // preemption_reported
    figures.vms[3].kvm_stats[9] = 2'500'000'000;  // halt_wait_ns
  }
  SourceState Source() const {
    return {true, agent::SourceKind::kBpf, "", *agent::StatsReader::Attach(books->fd()),
            *agent::HostPageReader::Attach((*page)->fd())};
  }

  absl::StatusOr<agent::SealedMemory> books =
      agent::SealedMemory::Create("books", sizeof(lockhost_vcpu_stats) * LOCKHOST_MAX_VCPU_STATS);
  absl::StatusOr<std::unique_ptr<agent::HostPageWriter>> page = agent::HostPageWriter::Create();
  agent::HostFigures figures;
};

TEST_F(MetricsTest, TellsWhatTheBooksSay) {
  AgentMemory memory;
  TestTable table;
  table.Set(0, LOCKHOST_RUN_STATE_RUNNING, kNowNs - 1'000'000'000);
  directory_.SetSource(memory.Source());
  directory_.Put(MakeRecord(7, 0, table));
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_vcpu_seconds_total{vm=\"7\",state=\"running\"} 3"));
  EXPECT_THAT(text, HasSubstr("lockhost_vcpu_seconds_total{vm=\"7\",state=\"halted\"} 0.5"));
  EXPECT_THAT(text, HasSubstr("lockhost_migrations_total{vm=\"7\"} 3"));
  EXPECT_THAT(text, HasSubstr("lockhost_preemption_seconds_bucket{vm=\"7\",le=\"2.048e-06\"} 1"));
  EXPECT_THAT(text, HasSubstr("lockhost_preemption_seconds_bucket{vm=\"7\",le=\"+Inf\"} 2"));
  EXPECT_THAT(text, HasSubstr("lockhost_preemption_seconds_sum{vm=\"7\"} 9"));
  EXPECT_THAT(text, testing::Not(HasSubstr("vm=\"99\"")));
}

TEST_F(MetricsTest, TellsWhatTheHostPageSays) {
  AgentMemory memory;
  directory_.SetSource(memory.Source());
  EXPECT_THAT(Scrape(), testing::Not(HasSubstr("lockhost_host_cpus"))) << "nothing written yet";
  (*memory.page)->Write(memory.figures);
  const std::string text = Scrape();
  EXPECT_THAT(text, HasSubstr("lockhost_host_cpus 2"));
  EXPECT_THAT(text, HasSubstr("lockhost_host_overcommit_ratio{window=\"10s\"} 2.5"));
  EXPECT_THAT(text, HasSubstr("lockhost_steal_ratio{vm=\"7\",window=\"1s\"} 0.25"));
  EXPECT_THAT(text, HasSubstr("lockhost_mode{vm=\"7\",mode=\"overcommitted\"} 1"));
  EXPECT_THAT(text,
              HasSubstr("lockhost_kvm_events_total{vm=\"7\",event=\"preemption_reported\"} 11"));
  EXPECT_THAT(text, HasSubstr("lockhost_kvm_halt_seconds_total{vm=\"7\",kind=\"halt_wait\"} 2.5"));
  EXPECT_THAT(text, testing::Not(HasSubstr("preemption_other"))) << "not known is not 0";
  EXPECT_THAT(text, HasSubstr("lockhost_agent_events_total{event=\"hint_events_lost\"} 4"));
  EXPECT_THAT(text, HasSubstr("lockhost_boosts_total{vm=\"7\",mechanism=\"fifo\",asked=\"direct\","
                              "result=\"released\"} 5"));
  EXPECT_THAT(
      text,
      HasSubstr("lockhost_boosts_denied_total{vm=\"7\",asked=\"grpc\",reason=\"vm_budget\"} 6"));
  EXPECT_THAT(text, HasSubstr("lockhost_boost_seconds_total{vm=\"7\"} 1.5"));
  EXPECT_THAT(text, HasSubstr("lockhost_boost_enabled{vm=\"7\"} 1"));
}

TEST_F(MetricsTest, PromtoolHasNothingToSay) {
  if (!HavePromtool()) GTEST_SKIP() << "promtool is not installed";
  TestTable table;
  table.Set(0, LOCKHOST_RUN_STATE_RUNNING);
  AgentMemory memory;
  (*memory.page)->Write(memory.figures);
  directory_.SetSource(memory.Source());
  directory_.Put(MakeRecord(7, 0, table));
  directory_.Put(MakeRecord(8, 1, table));
  EXPECT_EQ(PromtoolFindings(Scrape()), "");
}

}  // namespace
}  // namespace lockhost::server
