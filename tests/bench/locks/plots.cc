// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/locks/plots.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace lockhost::bench {
namespace {

using Wanted = std::function<bool(const Cell&)>;
using Value = std::function<double(const Row&)>;

double Ops(const Row& row) { return row.ops(); }
double TailSeconds(const Row& row) {
  return static_cast<double>(row.acquire_ns.Quantile(0.999)) / 1e9;
}

// One diagram of a picture: a value of those cells, against overcommit.
struct Panel {
  std::string title;
  std::string y_label;
  std::string y_scale;
  Wanted wanted;
  Value value;
};

// Title and machine above all panels; axis and its name below each.
constexpr double kHeadPixels = 85, kFootPixels = 100;
double PictureHeight(size_t panels) { return panels > 2 ? 1050 : 600; }

std::vector<std::string> SubjectsOf(const Wanted& wanted, const std::vector<Row>& rows, bool ours) {
  std::vector<std::string> subjects;
  for (const Row& row : rows) {
    if (row.ours != ours || !wanted(row.cell)) continue;
    if (std::find(subjects.begin(), subjects.end(), row.subject) == subjects.end()) {
      subjects.push_back(row.subject);
    }
  }
  return subjects;
}

// Ours are thick and warm, peers thin and cool, with points that tell them apart in print.
std::string StyleOf(bool ours, size_t index) {
  static constexpr const char* kOurs[] = {"#d40000", "#ff9f1c", "#c2007a", "#6b2d00"};
  static constexpr const char* kPeers[] = {"#1f77b4", "#2ca02c", "#17becf", "#7f7f7f",
                                           "#000000", "#8c7a4b", "#6a5acd", "#9aa800"};
  if (ours) return absl::StrFormat("lw 3.5 lc rgb '%s' pt %d ps 1.3", kOurs[index % 4], index + 4);
  return absl::StrFormat("lw 1.3 lc rgb '%s' dt %d pt %d ps 0.9", kPeers[index % 8],
                         index / 8 % 2 + 1, index % 13 + 1);
}

// How many times as many threads, vCPUs and hogs as CPUs; below 1 too.
double Load(const Cell& cell, const Setting& setting) {
  return static_cast<double>(cell.threads + cell.hogs) / static_cast<double>(setting.cpus);
}

std::string Points(const Panel& panel, const std::string& subject, const Setting& setting,
                   const std::vector<Row>& rows) {
  std::map<double, double> points;
  for (const Row& row : rows) {
    if (row.subject != subject || !panel.wanted(row.cell) || panel.value(row) <= 0) continue;
    points[Load(row.cell, setting)] = panel.value(row);
  }
  return absl::StrJoin(points, "", [](std::string* out, const auto& point) {
    absl::StrAppendFormat(out, "%g %g\n", point.first, point.second);
  });
}

std::string Ticks(const Wanted& wanted, const Setting& setting, const std::vector<Row>& rows) {
  std::set<double> loads;
  for (const Row& row : rows) {
    if (wanted(row.cell)) loads.insert(Load(row.cell, setting));
  }
  return absl::StrJoin(loads, ", ", [](std::string* out, double load) {
    absl::StrAppendFormat(out, "'%gx' %g", load, load);
  });
}

// `number` counts the panels from the top left, two in a row. The first has the legend, beside
// them all.
std::string PanelText(const Panel& panel, size_t number, size_t panels, const Setting& setting,
                      const std::vector<Row>& rows) {
  const auto lines = static_cast<double>((panels + 1) / 2);
  const double height = (1 - kHeadPixels / PictureHeight(panels)) / lines;
  const double top =
      1 - kHeadPixels / PictureHeight(panels) - height * static_cast<double>(number / 2);
  const double bottom = top - height + kFootPixels / PictureHeight(panels);
  const double left = number % 2 == 0 ? 0.05 : 0.455;
  std::string data, plots;
  for (const bool ours : {false, true}) {
    const auto subjects = SubjectsOf(panel.wanted, rows, ours);
    for (size_t i = 0; i < subjects.size(); ++i) {
      const std::string block = absl::StrFormat("$data_%d_%d_%d", number, ours ? 1 : 0, i);
      absl::StrAppend(&data, block, " << END\n", Points(panel, subjects[i], setting, rows),
                      "END\n");
      absl::StrAppend(&plots, plots.empty() ? "plot " : ", \\\n  ", block,
                      " using 1:2 with linespoints ", StyleOf(ours, i), " title '", subjects[i],
                      "'");
    }
  }
  std::string text = data;
  absl::StrAppendFormat(&text, "set tmargin at screen %.3f\nset bmargin at screen %.3f\n", top,
                        bottom);
  absl::StrAppendFormat(&text, "set lmargin at screen %.3f\nset rmargin at screen %.3f\n", left,
                        left + 0.345);
  absl::StrAppend(&text, "set title '", panel.title, "'\nset ylabel '", panel.y_label, "'\n",
                  panel.y_scale, "\nset xtics (", Ticks(panel.wanted, setting, rows), ")\n",
                  number == 0 ? "set key at screen 0.99, screen 0.88 right top\n" : "set key off\n",
                  plots, "\n");
  return text;
}

// gnuplot's own marks in a text between double quotes, taken as they are.
std::string Plain(const std::string& text) {
  std::string plain;
  for (const char c : text) {
    if (std::string("_^@&~{}\\\"").find(c) != std::string::npos) plain += "\\\\";
    plain += c;
  }
  return plain;
}

std::string Machine(const Setting& setting) {
  return absl::StrFormat("{/*0.8 %d CPUs, %s, Linux %s}", setting.cpus, Plain(setting.cpu_model),
                         Plain(setting.kernel));
}

std::string Picture(const std::string& name, const std::string& title, const std::string& x_label,
                    const std::vector<Panel>& panels, const Setting& setting,
                    const std::vector<Row>& rows) {
  std::string text = absl::StrFormat(
      "reset\nset terminal pngcairo size 1500,%.0f font 'sans,11'\nset output '%s.png'\n"
      "set multiplot title \"%s\\n%s\"\nset key noenhanced\n"
      "set logscale x 2\nset grid lc rgb '#cccccc'\n"
      "set offsets graph 0.03, graph 0.03, 0, 0\nset xlabel '%s'\n",
      PictureHeight(panels.size()), name, title, Machine(setting), x_label);
  for (size_t i = 0; i < panels.size(); ++i) {
    absl::StrAppend(&text, PanelText(panels[i], i, panels.size(), setting, rows));
  }
  return text + "unset multiplot\nset output\n";
}

bool Has(const Wanted& wanted, const std::vector<Row>& rows) {
  return std::any_of(rows.begin(), rows.end(), [&](const Row& row) { return wanted(row.cell); });
}

std::string Length(int ns) {
  return ns < 1'000 ? absl::StrCat(ns, " ns") : absl::StrCat(ns / 1'000, " µs");
}

// Throughput and tail of the same cells, beside one another.
void AddPair(const std::string& title, const char* what, const Wanted& wanted,
             std::vector<Panel>* panels) {
  panels->push_back({absl::StrCat("Throughput", title), absl::StrCat(what, " a second"),
                     "unset logscale y\nset yrange [0:*]\nset format y '%.1s%c'", wanted, Ops});
  panels->push_back({absl::StrCat("Time to acquire, p99.9", title), "",
                     "set logscale y 10\nset yrange [*:*]\nset format y '%.0s %cs'", wanted,
                     TailSeconds});
}

void AddThreads(const Setting& setting, const std::vector<Row>& rows, std::vector<Plot>* plots) {
  for (const int cs_ns : {100, 1'000, 10'000}) {
    const Wanted wanted = [cs_ns](const Cell& cell) {
      return cell.workload == Workload::kThreads && cell.cs_ns == cs_ns && cell.gap_ns == cs_ns &&
             cell.locks == 1;
    };
    if (!Has(wanted, rows)) continue;
    const std::string name = absl::StrCat("locks-threads-", cs_ns, "ns");
    std::vector<Panel> panels;
    AddPair("", "acquisitions", wanted, &panels);
    plots->push_back({name, Picture(name,
                                    absl::StrCat("One lock, threads: critical section ",
                                                 Length(cs_ns), ", as long between two"),
                                    "threads to CPUs", panels, setting, rows)});
  }
}

void AddBarrier(const Setting& setting, const std::vector<Row>& rows, std::vector<Plot>* plots) {
  const Wanted wanted = [](const Cell& cell) { return cell.workload == Workload::kBarrier; };
  if (!Has(wanted, rows)) return;
  std::vector<Panel> panels;
  AddPair("", "phases", wanted, &panels);
  plots->push_back(
      {"locks-barrier",
       Picture("locks-barrier", "Phases of ten critical sections of 100 ns, a barrier after each",
               "threads to CPUs", panels, setting, rows)});
}

void AddLab(const Setting& setting, const std::vector<Row>& rows, std::vector<Plot>* plots) {
  for (const int cs_ns : {400, 20'000}) {
    const auto cells = [cs_ns, &setting](bool beside_hogs) -> Wanted {
      return [=, cpus = setting.cpus](const Cell& cell) {
        if (cell.workload != Workload::kLab || cell.cs_ns != cs_ns || cell.pinning != 'B') {
          return false;
        }
        return beside_hogs ? cell.threads == cpus : cell.hogs == 0;
      };
    };
    std::vector<Panel> panels;
    if (Has(cells(false), rows)) {
      AddPair(": the VM alone, more vCPUs", "acquisitions", cells(false), &panels);
    }
    if (Has(cells(true), rows)) {
      AddPair(absl::StrCat(": ", setting.cpus, " vCPUs, more neighbours"), "acquisitions",
              cells(true), &panels);
    }
    if (panels.empty()) continue;
    const std::string name = absl::StrCat("locks-lab-", cs_ns, "ns");
    plots->push_back(
        {name,
         Picture(name,
                 absl::StrCat("One lock, ",
                              setting.lab_backend == "kvm" ? "vCPUs of a KVM microVM"
                                                           : "threads that stand in for vCPUs",
                              ": critical section ", Length(cs_ns), ", half as long between two"),
                 "vCPUs and neighbours to CPUs", panels, setting, rows)});
  }
}

void AddUncontended(const Setting& setting, const std::vector<Row>& rows,
                    std::vector<Plot>* plots) {
  std::vector<const Row*> bars;
  for (const Row& row : rows) {
    if (row.cell.workload == Workload::kUncontended) bars.push_back(&row);
  }
  if (bars.empty()) return;
  const auto ns = [](const Row* row) { return Describe(row->ns_per_op).mean; };
  std::stable_sort(bars.begin(), bars.end(),
                   [&](const Row* a, const Row* b) { return ns(a) > ns(b); });
  std::string text = absl::StrFormat(
      "reset\nset terminal pngcairo size 1000,700 font 'sans,11'\n"
      "set output 'locks-uncontended.png'\n"
      "set title \"Lock and unlock, nobody else wants it, another thread alive\\n"
      "%s\"\nset ytics noenhanced\n"
      "set xlabel 'ns for lock and unlock'\nset xrange [0:*]\nset style fill solid 0.8\n"
      "set offsets 0, graph 0.06, 0, 0\nset yrange [-0.6:%d.6]\n"
      "set grid x lc rgb '#cccccc'\nset key off\nset lmargin 24\nset tics nomirror\n$data << END\n",
      Machine(setting), static_cast<int>(bars.size()) - 1);
  for (const Row* bar : bars) {
    absl::StrAppendFormat(&text, "\"%s\" %g %d\n", bar->subject, ns(bar),
                          bar->ours ? 0xd40000 : 0x6f8fb5);
  }
  absl::StrAppend(
      &text,
      "END\nplot $data using ($2/2):0:($2/2):(0.38):3:ytic(1) with boxxyerror lc rgb "
      "variable, $data using 2:0:(sprintf(' %.1f', $2)) with labels left\nset output\n");
  plots->push_back({"locks-uncontended", text});
}

}  // namespace

std::vector<Plot> PlotsOf(const Setting& setting, const std::vector<Row>& rows) {
  std::vector<Plot> plots;
  AddUncontended(setting, rows, &plots);
  AddThreads(setting, rows, &plots);
  AddBarrier(setting, rows, &plots);
  AddLab(setting, rows, &plots);
  return plots;
}

}  // namespace lockhost::bench
