//! What the experiments found, as tables for a terminal and charts for a page.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use plotters::prelude::*;
use pocket_consensus::replica::config::Pace;
use pocket_types::number::Ppm;

use crate::consensus::{CONTENDERS, Conditions, Contender};

const SIZES: [usize; 6] = [4, 7, 10, 16, 22, 31];
const LOSSES: [u32; 6] = [0, 1, 2, 5, 10, 20];
const JITTERS: [u64; 4] = [10, 50, 100, 200];

/// Runs the comparison.
pub(crate) fn consensus(only: &str, html: Option<&Path>) -> Result<()> {
    let wanted = only.to_lowercase();
    let contenders: Vec<Contender> = CONTENDERS
        .iter()
        .copied()
        .filter(|contender| contender.name.to_lowercase().contains(&wanted))
        .collect();
    ensure!(!contenders.is_empty(), "no protocol's name contains '{only}': {}", names());
    let progress = ProgressBar::new(5 * contenders.len() as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("a valid template"),
    );
    let mut page = Page::default();
    page.costs(&contenders, &progress)?;
    page.deaths(&contenders, &progress)?;
    page.losses(&contenders, &progress)?;
    page.jitters(&contenders, &progress)?;
    page.sizes(&contenders, &progress)?;
    progress.finish_and_clear();
    print!("{}", page.text);
    if let Some(path) = html {
        fs::write(path, page.html()).with_context(|| format!("writing {}", path.display()))?;
        println!("charts: {}", path.display());
    }
    Ok(())
}

fn names() -> String {
    CONTENDERS.iter().map(|contender| contender.name).collect::<Vec<_>>().join(", ")
}

#[derive(Default)]
struct Page {
    text: String,
    body: String,
}

/// Points of one protocol in a chart.
type Line = (&'static str, Vec<(f64, f64)>);

impl Page {
    fn costs(&mut self, contenders: &[Contender], progress: &ProgressBar) -> Result<()> {
        let head =
            ["protocol", "leader decides", "all decide", "next block", "messages", "dead leader"];
        let mut rows = Vec::new();
        for contender in contenders {
            progress.set_message(format!("{}: delays and messages", contender.name));
            let costs = contender.costs(7)?;
            let recovery = contender.recovery(7)?;
            rows.push(vec![
                contender.name.to_owned(),
                format!("{} δ", costs.leader),
                format!("{} δ", costs.all),
                format!("{} δ", costs.period),
                costs.messages.to_string(),
                format!("T + {recovery} δ"),
            ]);
            progress.inc(1);
        }
        self.table(
            "When all goes well: seven validators, every message takes δ, a round's timeout is T",
            &head,
            rows,
        );
        Ok(())
    }

    fn deaths(&mut self, contenders: &[Contender], progress: &ProgressBar) -> Result<()> {
        let networks: [(&str, usize, &[usize]); 5] = [
            ("4, none", 4, &[]),
            ("4, one", 4, &[3]),
            ("7, none", 7, &[]),
            ("7, two apart", 7, &[3, 6]),
            ("7, two in a row", 7, &[5, 6]),
        ];
        let head: Vec<&str> =
            ["protocol"].into_iter().chain(networks.iter().map(|(name, ..)| *name)).collect();
        let mut rows = Vec::new();
        for contender in contenders {
            progress.set_message(format!("{}: dead validators", contender.name));
            let mut row = vec![contender.name.to_owned()];
            for (_, nodes, dead) in networks {
                let conditions = Conditions { nodes, dead: dead.to_vec(), loss: Ppm(0) };
                row.push(format!("{:.0}", contender.rate(&conditions)?));
            }
            rows.push(row);
            progress.inc(1);
        }
        self.table(
            "Blocks a minute with dead validators, leaders in turn: validators, dead ones",
            &head,
            rows,
        );
        Ok(())
    }

    fn losses(&mut self, contenders: &[Contender], progress: &ProgressBar) -> Result<()> {
        let mut lines = Vec::new();
        for contender in contenders {
            progress.set_message(format!("{}: loss", contender.name));
            let rate = |percent: u32| {
                let loss = Ppm(percent * 10_000);
                let conditions = Conditions { nodes: 4, dead: Vec::new(), loss };
                Ok((f64::from(percent), contender.rate(&conditions)?))
            };
            lines.push((contender.name, LOSSES.into_iter().map(rate).collect::<Result<_>>()?));
            progress.inc(1);
        }
        let title = "Blocks a minute by four validators, when messages are lost";
        self.lines(title, "messages lost (%)", "blocks a minute", &lines)
    }

    fn jitters(&mut self, contenders: &[Contender], progress: &ProgressBar) -> Result<()> {
        let head = [
            "protocol",
            "jitter",
            "steady: mean",
            "deviation",
            "longest",
            "after decision: mean",
            "deviation",
            "longest",
        ];
        let mut rows = Vec::new();
        for contender in contenders {
            progress.set_message(format!("{}: jitter", contender.name));
            for jitter in JITTERS {
                let mut row =
                    vec![contender.name.to_owned(), format!("{} to {jitter} ms", jitter / 10)];
                for pace in [Pace::Steady, Pace::AfterDecision] {
                    let found = contender.intervals(pace, jitter)?;
                    let cells = [found.mean, found.deviation, found.longest];
                    row.extend(cells.map(|milliseconds| format!("{milliseconds:.0}")));
                }
                rows.push(row);
            }
            progress.inc(1);
        }
        self.table("Block intervals in milliseconds, for a target of 1,000", &head, rows);
        Ok(())
    }

    fn sizes(&mut self, contenders: &[Contender], progress: &ProgressBar) -> Result<()> {
        let mut lines = Vec::new();
        for contender in contenders {
            progress.set_message(format!("{}: messages by size", contender.name));
            let messages =
                |nodes: usize| Ok((nodes as f64, contender.costs(nodes)?.messages as f64));
            lines.push((contender.name, SIZES.into_iter().map(messages).collect::<Result<_>>()?));
            progress.inc(1);
        }
        let title = "Messages for a block, by the number of validators";
        self.lines(title, "validators", "messages a block", &lines)
    }

    fn table(&mut self, title: &str, head: &[&str], rows: Vec<Vec<String>>) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED);
        table.set_header(head.iter().copied());
        let _ = write!(self.body, "<h2>{title}</h2><table><tr>");
        self.body.extend(head.iter().map(|cell| format!("<th>{cell}</th>")));
        for row in rows {
            let _ = write!(self.body, "</tr><tr>");
            self.body.extend(row.iter().map(|cell| format!("<td>{cell}</td>")));
            table.add_row(row);
        }
        self.body.push_str("</tr></table>");
        table.column_iter_mut().skip(1).for_each(|c| c.set_cell_alignment(CellAlignment::Right));
        let _ = writeln!(self.text, "{title}\n{table}\n");
    }

    /// A chart, and its numbers as a table.
    fn lines(&mut self, title: &str, x: &str, y: &str, lines: &[Line]) -> Result<()> {
        let places = lines.first().map(|(_, points)| points.clone()).unwrap_or_default();
        let head: Vec<String> = [x.to_owned()]
            .into_iter()
            .chain(places.iter().map(|(place, _)| place.to_string()))
            .collect();
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let rows = lines.iter().map(|(name, points)| {
            let cells = points.iter().map(|(_, value)| format!("{value:.0}"));
            [(*name).to_owned()].into_iter().chain(cells).collect()
        });
        self.table(title, &head, rows.collect());
        self.body.push_str(&chart(x, y, lines)?);
        Ok(())
    }

    fn html(&self) -> String {
        format!(
            "<!doctype html><meta charset=utf-8><title>Consensus protocols side by side</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
             padding:0 1rem}}table{{border-collapse:collapse}}td,th{{padding:.2rem .8rem;\
             border-bottom:1px solid #ddd;text-align:right}}td:first-child,th:first-child\
             {{text-align:left}}svg{{max-width:100%;height:auto}}</style>\
             <h1>Consensus protocols side by side</h1>{}",
            self.body
        )
    }
}

fn chart(x: &str, y: &str, lines: &[Line]) -> Result<String> {
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let right = points().map(|(x, _)| x).fold(1.0, f64::max);
    let top = points().map(|(_, y)| y).fold(1.0, f64::max) * 1.05;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (900, 420)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(45)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        chart.configure_mesh().x_desc(x).y_desc(y).light_line_style(TRANSPARENT).draw()?;
        for (index, (name, points)) in lines.iter().enumerate() {
            let color = Palette99::pick(index).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(*name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2))
                });
            chart.draw_series(points.iter().map(|&at| Circle::new(at, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK)
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}
