"""Sentences of evidence in Chinese: what a machine found is on record in English, and a document in Chinese tells it in Chinese.

The record has one language, so that its hash and its replay have one; each sentence that the machines can write has its Chinese form here.
What people write themselves stays as they wrote it, and so does a name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from market.announcements import article_zh
from market.causes import CAUSE_ARTICLES, CAUSE_NAMES, Cause

__all__ = ["chinese"]

_DAY_AHEAD: Final = (
    (r"operating day (\S+): no valid result completed by (\S+)", r"\1 运行日：截至 \2 无有效出清结果"),
    (r"latest word: FAILED, (.+)", r"最近消息：出清失败，\1"),
    (r"latest word: INVALID, (.+)", r"最近消息：结果无效，\1"),
    (r"latest word: MISSED, no result and no message", "最近消息：未收到结果，亦无消息"),
    (r"a result was completed (\S+), too late", r"有结果于 \1 完成，已逾时"),
    (r"the dispatcher expected it at (\S+)", r"调度员预计完成时刻：\1"),
    (r"operating day (\S+): the dispatcher expects the result at (\S+)", r"\1 运行日：调度员预计结果于 \2 完成"),
    (r"operating day (\S+): the result is estimated at P50 (\S+), P90 (\S+)", r"\1 运行日：结果完成时刻估计 P50 为 \2，P90 为 \3"),
    (r"operating day (\S+): the result is estimated at (P\d0) (\S+)", r"\1 运行日：结果完成时刻估计 \2 为 \3"),
    (r"operating day (\S+): expected at (\S+), the deadline itself; zero margin", r"\1 运行日：预计于 \2 完成，恰为截止时刻，无余量"),
    (r"deadline (\S+)", r"截止时刻 \1"),
    (r"the result of operating day (\S+) came, late", r"\1 运行日的结果已到，逾时"),
    (r"the day-ahead result is there", "日前结果已有"),
    (r"the day-ahead result is expected in time, or not at all", "预计日前结果按时完成，或不再有预计"),
    (r"operating day (\S+): version (\d+) of the result", r"\1 运行日：结果第 \2 版"),
    (r"operating day (\S+)", r"\1 运行日"),
)
_REAL_TIME: Final = (
    (r"first interval without a valid result due (\S+)", r"首个无有效结果的时段，应出清时刻 \1"),
    (r"no valid result completed before (\S+) \((\d+) min\)", r"截至 \1（\2 分钟）无有效出清结果"),
    (
        r"(\d+) intervals unserved: (\d+) MISSED, (\d+) FAILED, (\d+) INVALID",
        r"\1 个时段无有效结果：未收到结果 \2 个，出清失败 \3 个，结果无效 \4 个",
    ),
    (r"last valid result completed: none since the watch began", "最近有效结果：监视开始以来无"),
    (r"last valid result completed: (\S+)", r"最近有效结果完成于 \1"),
    (r"a valid result ended the outage", "有效出清结果终止了中断"),
    (r"the market closed by its calendar", "市场按日历闭市"),
    (r"interval (\S+)", r"时段 \1"),
    (
        r"prices of (\d+) of (\d+) buses leapt, at bus (\S+) from (\S+) to (\S+) CNY/MWh, since (\S+)",
        r"自 \6 起 \2 个节点中 \1 个电价突变，其中节点 \3 由 \4 变为 \5 元/兆瓦时",
    ),
    (r"the cost of a MWh went from (\S+) to (\S+) CNY since (\S+)", r"自 \3 起单位电量成本由 \1 变为 \2 元"),
    (r"the flow between areas (\S+) went from (\S+) to (\S+) MW since (\S+)", r"自 \4 起区域 \1 间潮流由 \2 变为 \3 MW"),
)
_CONTROL: Final = (
    (r"control moved to (\S+) at (\S+), unplanned, and stood for (\d+) s", r"调度权于 \2 转至 \1（非计划），持续 \3 秒"),
    (r"planned switchover to (\S+) at (\S+)", r"计划内切换：调度权于 \2 转至 \1"),
    (r"(\S+(?: and \S+)+) both claim control; nothing acts on it", r"\1 同时主张调度权，系统不据此动作"),
    (r"control back at MAIN since (\S+); the market stays as it is", r"调度权自 \1 起回到主调，市场状态不变"),
    (r"control is back at the main centre", "调度权已回到主调"),
)
_LIMIT: Final = r"limit (\S+) %"
_TOPOLOGY: Final = (
    (
        r"(\d+) top-voltage elements lost within (\S+) min \(limit (\d+) within (\d+) min\): (.+)",
        r"\2 分钟内 \1 个最高电压等级元件停运（限值：\4 分钟内 \3 个）：\5",
    ),
    (
        r"(\d+) second-voltage elements lost within (\S+) min \(limit (\d+) within (\d+) min\): (.+)",
        r"\2 分钟内 \1 个次高电压等级元件停运（限值：\4 分钟内 \3 个）：\5",
    ),
    (r"(\S+): OPEN since (\S+), flow below (\S+) % at both ends", r"\1：\2 起断开，两端潮流均低于额定值的 \3%"),
    (r"(\S+): OPEN since (\S+), bus (\S+) without voltage", r"\1：\2 起断开，母线 \3 失压"),
    (r"(\S+): OPEN since (\S+), tripped by protection", r"\1：\2 起断开，保护动作跳闸"),
    (r"(\S+): OPEN since (\S+), under a permit; not counted", r"\1：\2 起断开，有检修许可，不计入"),
    (
        rf"load lost within (\d+) min: (\S+) MW of (\S+) MW \((\S+) % since (\S+), {_LIMIT}\)",
        r"\1 分钟内损失负荷 \2 MW（此前 \3 MW），自 \5 起占 \4%，限值 \6%",
    ),
    (r"load lost within (\d+) min: (\S+) MW of (\S+) MW", r"\1 分钟内损失负荷 \2 MW（此前 \3 MW）"),
    (
        rf"(\d+) energised islands? with (\S+) % of the load cut off \({_LIMIT} for (\d+) s\)",
        r"\1 个带电孤岛，占负荷 \2%（限值 \3%，持续 \4 秒）",
    ),
    (
        r"island of (\S+): (\d+) bus(?:es)?, (\S+) % of the load, since (\S+), behind (.+)",
        r"\1 孤岛：母线 \2 条，占负荷 \3%，自 \4 起，断面 \5",
    ),
    (
        r"substation (\S+) lost: all (\d+) elements at its top-voltage buses are out since (\S+) \(limit (\d+)\)",
        r"变电站 \1 全停：最高电压等级母线上 \2 个元件自 \3 起全部停运（限值 \4 座）",
    ),
    (
        r"substation (\S+) lost: all (\d+) of its top-voltage buses are without voltage since (\S+) \(limit (\d+)\)",
        r"变电站 \1 全停：\2 条最高电压等级母线自 \3 起全部失压（限值 \4 座）",
    ),
    (
        rf"infeed (\S+) lost since (\S+): (\S+) MW before, (\S+) MW now \((\S+) % of the load of (\S+) MW, {_LIMIT}\)",
        r"受入通道 \1 自 \2 起停送：此前 \3 MW，现 \4 MW（占负荷 \6 MW 的 \5%，限值 \7%）",
    ),
    (
        rf"limit of interface (\S+) fell from (\S+) MW, as the last clearing used it, to (\S+) MW \((\S+) %, {_LIMIT}\)",
        r"断面 \1 限额由上次出清所用的 \2 MW 降至 \3 MW（降幅 \4%，限值 \5%）",
    ),
    (r"not counted, as the state estimate contradicts their position: (.+)", r"因状态估计与位置矛盾而不计入：\1"),
    (r"every element of the finding is closed again", "所涉元件均已重新合上"),
    (r"what the finding rests on is over", "所依据的情形已结束"),
    (r"(\S+): (\d+) changes within 60 s; position held", r"\1：60 秒内变位 \2 次，位置保持不变"),
    (r"positions and flows are not seen; no topology trip meanwhile", "位置与潮流不可见，其间不作拓扑熔断"),
    (r"positions and flows are seen again", "位置与潮流恢复可见"),
    (r"(\d+) of (\d+) top-voltage elements unobserved \((\S+) % seen\): (.+)", r"\2 个最高电压等级元件中 \1 个不可观测（可观测 \3%）：\4"),
    (
        r"positions of (\d+) elements at (\d+) stations \((.+)\) not seen since (\S+), held as last told: (.+)",
        r"\2 座变电站（\3）的 \1 个元件位置自 \4 起不可见，按最后所报保持：\5",
    ),
    (r"positions of (\d+) elements not seen since (\S+), held as last told: (.+)", r"\1 个元件位置自 \2 起不可见，按最后所报保持：\3"),
    (r"every position that was told to be unseen is seen again", "此前不可见的位置均已恢复"),
)
_SYSTEM: Final = "reasons of the system"
_SESSIONS: Final = (
    (
        rf"(\d+) of (\d+) entitled participants cannot log in for {_SYSTEM}: (\S+) %",
        r"\2 家有资格的市场主体中 \1 家因系统原因无法登录，占 \3%",
    ),
    (
        rf"(\d+) of (\d+) entitled participants cannot send for {_SYSTEM}: (\S+) %",
        r"\2 家有资格的市场主体中 \1 家因系统原因无法申报，占 \3%",
    ),
    (r"failures from (\S+) to (\S+)", r"失败时间：\1 至 \2"),
    (r"(\S+(?:, \S+)*) and (\d+) more", r"\1 等，另有 \2 家"),
    (r"product: (.+)", r"交易品种：\1"),
    (r"the window should have closed at (\S+) and is open", r"申报窗口应于 \1 关闭，仍未关闭"),
    (
        r"the window closed at (\S+); (\d+) items were accepted after its end and are quarantined",
        r"申报窗口于 \1 关闭；截止后接受 \2 笔，已隔离",
    ),
    (r"the window closed at (\S+)", r"申报窗口于 \1 关闭"),
    (
        r"the session is over and watched no longer; (\d+) items were accepted after its end and are quarantined",
        r"交易时段已结束，不再监视；截止后接受 \1 笔，已隔离",
    ),
    (r"the session is over and watched no longer", "交易时段已结束，不再监视"),
    (r"and (\d+) more, each recorded as QUARANTINED", r"另有 \1 笔，均以 QUARANTINED 逐笔记录"),
    (r"order (\S+) of (\S+), accepted (\S+)", r"\2 的申报 \1，接受时刻 \3"),
    (r"withdrawal of order (\S+) of (\S+), accepted (\S+)", r"\2 对申报 \1 的撤销，接受时刻 \3"),
    (r"(\S+) s after the end at (\S+)", r"晚于截止时刻 \2 共 \1 秒"),
    (r"quarantined, not deleted; Art\. 14 or 16 decides", "已隔离、未删除；按第十四条或第十六条处理"),
)
_MARKET: Final = (
    *(
        (re.escape(f"cause: {cause} ({CAUSE_ARTICLES[cause]})"), f"原因：{CAUSE_NAMES[cause][0]}（{article_zh(CAUSE_ARTICLES[cause])}）")
        for cause in Cause
    ),
    (r"no answer for (\d+) min", r"\1 分钟内无人答复"),
    (r"the clearing results are not seen; nothing trips by itself", "出清结果不可见，不自动熔断"),
    (r"the clearing results are seen again", "出清结果恢复可见"),
    (r"wall clock and monotonic clock disagree; nothing trips by itself", "系统时钟与单调时钟不一致，不自动熔断"),
    (r"wall clock and monotonic clock agree again", "系统时钟与单调时钟恢复一致"),
    (r"(.+): a warning is active; a recovery needs two persons", r"\1：预警生效，恢复须经两人"),
    (r"(.+): the warning is lifted", r"\1：预警已解除"),
    (r"notice (\S+) promised an update by (\S+)", r"公告 \1 承诺最迟于 \2 更新"),
    (r"suspended since (\S+)", r"自 \1 起中止"),
    (r"more than (\d+) days from (\S+) on, the first day not counted", r"自 \2 起超过 \1 天（首日不计）"),
    (r"expected end before: (\S+)", r"原预计结束时刻：\1"),
    (r"in force from (\S+) on; what was priced before stays as it is", r"自 \1 起适用，此前价格不变"),
    (r"filed (\S+)", r"申请时刻 \1"),
    (r"applied for (\S+)", r"申请时刻 \1"),
    (r"scope: all", "范围：全部"),
    (r"scope: (.+)", r"范围：\1"),
    (r"reference: (.+)", r"依据文件：\1"),
    (r"approved by GOV and REG, scope: all", "已获政府主管部门和监管机构批准，范围：全部"),
    (r"approved by GOV and REG, scope: (.+)", r"已获政府主管部门和监管机构批准，范围：\1"),
    (r"approved by GOV: (.+)", r"政府主管部门批准：\1"),
    (r"approved by REG: (.+)", r"监管机构批准：\1"),
    (r"override: (.+); second person: (\S+)", r"越权恢复：\1；第二人：\2"),
    (
        r"(\S+) version (\d+) was made after publication; version (\d+) stays the basis of execution and settlement",
        r"\1 第 \2 版在公布后产生，执行和结算仍以第 \3 版为准",
    ),
    (r"PUBLISH_RESULT needs the approval of GOV and REG", "公布（PUBLISH_RESULT）须经政府主管部门和监管机构批准"),
    (r"fewer than (\d+) values in (\S+)\.\.(\S+): (.+)", r"\2 至 \3 样本不足 \1 个：\4"),
    (r"EXTEND_WINDOW looks further back", "可用 EXTEND_WINDOW 向前延长样本期"),
    (r"[A-Z]\w+", r"\g<0>"),
    (
        r"it is dated (\S+), and the latest that is known is of (\S+); set the clock of who told it right, and tell it anew",
        r"所报时间为 \1，而已知最近时间为 \2；请校准来源时钟后重报",
    ),
)
_SPOT: Final = (
    (r"operating day (\S+): boundary data version (\d+), (\d+) values, digest (\S+)", r"\1 运行日：边界条件第 \2 版，共 \3 项，摘要 \4"),
    (r"incomplete, nothing may be cleared from it: (.+)", r"不完整，不得据以出清：\1"),
    (r"the boundary data in force lack (.+)", r"现行边界条件缺少 \1"),
    (r"and (\d+) more", r"另有 \1 项"),
    (r"(.+): none → (.+)", r"\1：无 → \2"),
    (r"(.+): (.+) → (.+)", r"\g<0>"),
    (r"operating day (\S+): declarations until (\S+)", r"\1 运行日：申报截止 \2"),
    (r"operating day (\S+): deadline (\S+) → (\S+)", r"\1 运行日：截止时刻 \2 → \3"),
    (
        r"published (\S+) min ahead of the new deadline, (\S+) min ahead of the old one",
        r"早于新截止时刻 \1 分钟公布，早于原截止时刻 \2 分钟",
    ),
    (
        r"published (\S+) min ahead of the new deadline, (\S+) min after the old one, which Art\. 21 asks to come before it where possible",
        r"早于新截止时刻 \1 分钟公布，晚于原截止时刻 \2 分钟（第二十一条要求尽可能在其之前）",
    ),
    (r"operating day (\S+): declarations failed for a reason of the system", r"\1 运行日：因系统原因申报失败"),
    (r"by (\S+)", r"确认人：\1"),
    (r"operating day (\S+): paper declaration of (\S+), version (\d+), digest (\S+)", r"\1 运行日：\2 的纸质申报第 \3 版，摘要 \4"),
    (r"entered by (\S+) and (\S+)", r"录入人：\1、\2"),
    (r"boundary data version (\d+)", r"边界条件第 \1 版"),
)

# Longer ones before those that would swallow them.
_SENTENCES: Final = tuple(
    (re.compile(pattern), words) for pattern, words in (*_REAL_TIME, *_SPOT, *_DAY_AHEAD, *_CONTROL, *_TOPOLOGY, *_SESSIONS, *_MARKET)
)
_NAMES: Final = re.compile(r"[\w.-]+(?:, [\w.-]+)*")


@lru_cache(maxsize=512)
def chinese(text: str) -> str | None:
    """Return a sentence of evidence in Chinese; None for one that no machine writes.

    >>> chinese("control is back at the main centre"), chinese("lightning, says the shift")
    ('调度权已回到主调', None)
    """
    for pattern, words in _SENTENCES:
        if found := pattern.fullmatch(text):
            return found.expand(words)
    return text if _NAMES.fullmatch(text) else None
