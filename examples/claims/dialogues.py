#!/usr/bin/env python3
"""SYNTHETIC dialogues in Korean and English: word problems that an assistant reasons through, slips in, and corrects.

Real help text has next to no corrections (docs/claims.md, row 6), so this text is made. Nobody said any of it. Every
line is marked `"synthetic": true`; the same arguments give the same bytes. What is last said of a number is right:
wrong steps are there only where the very next sentence takes them back. One JSON object a line:

  {"id": "synthetic-ko-1-0000017", "synthetic": true, "messages": [{"role": "user", "content": ...}, ...]}

usage: dialogues.py --topics start|arms --count N [--seed S] > FILE.jsonl
"""

import argparse
import json
import random
import sys
from typing import NamedTuple

NAMES = {
    "en": "Olivia Noah Amelia Liam Harper Ethan Chloe Mason Ruby Oscar Hazel Felix Iris Hugo Nora Simon Clara Jonas "
          "Edith Victor Alma Bruno Dora Elias Frida Gustav Helen Ivan Julia Karl Laura Milan Nina Otto Paula Ralph "
          "Sofia Tomas Ursula Walter".split(),
    "ko": "민수 지우 서연 도윤 하준 예은 시우 수아 지호 하은 주원 다은 건우 채원 현우 유나 준서 소율 은우 가은 태현 나연 승민 "
          "보라 재훈 미경 동욱 혜진 상철 영희 경수 순자 진호 은주 성민 정아 병철 선영 광수 해인".split(),
}
# Things: in Korean with their counter, in English in the plural.
THINGS = {
    "en": "notebooks pencils apples stickers candles cups postcards lamps tickets magnets brushes bottles ribbons "
          "puzzles plates seeds shells marbles books pears towels buttons spoons keys".split(),
    "ko": "공책:권 연필:자루 사과:개 스티커:장 양초:개 컵:개 엽서:장 전등:개 표:장 자석:개 붓:자루 물병:개 리본:개 퍼즐:개 접시:장 "
          "씨앗:개 조개:개 구슬:개 책:권 배:개 수건:장 단추:개 숟가락:개 열쇠:개".split(),
}
PLACES = {
    "en": "the market|the library|the harbour|the school|the station|the museum|the bakery|the garden|the workshop|the "
          "theatre|the village hall|the clinic".split("|"),
    "ko": "시장 도서관 항구 학교 정류장 박물관 빵집 정원 공방 극장 마을회관 진료소".split(),
}
DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "ko": "월요일 화요일 수요일 목요일 금요일 토요일 일요일".split(),
}


class Step(NamedTuple):
    a: int
    op: str   # + - × ÷
    b: int
    why: str  # en: a clause. ko: a stem that ends in a vowel, so that 므로, 기 때문에, 니까, 면 fit.
    unit: str

    @property
    def result(self):
        if self.op == "÷":
            assert self.a % self.b == 0
            return self.a // self.b
        return {"+": self.a + self.b, "-": self.a - self.b, "×": self.a * self.b}[self.op]


class Problem(NamedTuple):
    told: list      # Sentences.
    question: str
    steps: list
    answer: str     # The last sentence's subject; ko: with its particle.


def josa(word, pair):
    """The word with the particle that fits its last sound: pair is "은/는", "이/가", "을/를", "과/와"."""
    closed, opened = pair.split("/")
    last = word[-1]
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28 > 0
    else:
        final = last in "013678"
    return word + (closed if final else opened)


def amount(number, unit):
    """"12 dollars", "1 dollar", "12원"; in Korean a counter stands right behind its number."""
    if not unit or unit[0] >= "가":
        return f"{number}{unit}"
    return f"{number} {unit[:-1] if number == 1 and unit.endswith('s') else unit}"


# The topics. Each is called with a generator of random numbers and tells one problem in the language.

class Teller:
    def __init__(self, rng, language):
        self.rng, self.language, self.ko = rng, language, language == "ko"
        self.who, self.other = rng.sample(NAMES[language], 2)
        self.place = rng.choice(PLACES[language])
        self.money = "원" if self.ko else "dollars"
        first, second = rng.sample(THINGS[language], 2)
        self.thing, self.counter = first.split(":") if self.ko else (first, first)
        self.thing2, self.counter2 = second.split(":") if self.ko else (second, second)

    def price(self, low, high):
        return self.rng.randint(low, high) * (100 if self.ko else 1)

    def count(self, number, counter=None):
        return amount(number, counter or self.counter)

    # Topics of the start model.

    def shop(self):
        n, m = self.rng.randint(2, 19), self.rng.randint(2, 19)
        p, q = self.price(2, 48), self.price(2, 48)
        whys = ([f"{self.thing} 값이 한 {self.counter}에 {p}원이", f"{self.thing2} 값은 한 {self.counter2}에 {q}원이",
                 "두 값을 모두 내야 하"] if self.ko else
                [f"each of the {n} {self.thing} costs {amount(p, 'dollars')}",
                 f"the {m} {self.thing2} cost {amount(q, 'dollars')} each", "both must be paid"])
        steps = [Step(n, "×", p, whys[0], self.money), Step(m, "×", q, whys[1], self.money)]
        steps.append(Step(steps[0].result, "+", steps[1].result, whys[2], self.money))
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} {self.place}에서 {self.thing} {self.count(n)}, "
                            f"{self.thing2} {josa(self.count(m, self.counter2), '을/를')} 샀습니다.",
                            f"{josa(self.thing, '은/는')} 한 {self.counter}에 {p}원, "
                            f"{josa(self.thing2, '은/는')} 한 {self.counter2}에 {q}원입니다."],
                           "모두 얼마를 냈습니까?", steps, "낸 돈은 모두")
        return Problem([f"{self.who} bought {n} {self.thing} and {m} {self.thing2} at {self.place}.",
                        f"The {self.thing} cost {amount(p, 'dollars')} each and the {self.thing2} "
                        f"{amount(q, 'dollars')} each."],
                       "How much was that in all?", steps, "the total is")

    def share(self):
        friends, each, packs = self.rng.randint(2, 12), self.rng.randint(2, 15), self.rng.randint(2, 9)
        total = friends * each
        if total % packs:
            packs = 2 if total % 2 == 0 else 1
        if packs == 1:
            friends, packs, total = friends * 2, 2, friends * 2 * each
        inside = total // packs
        whys = ([f"한 상자에 {self.count(inside)}씩 들어 있는 상자가 {packs}개이", f"{friends}명이 똑같이 나누"] if self.ko else
                [f"there are {packs} boxes with {inside} {self.thing} in each", f"{friends} people get the same share"])
        steps = [Step(packs, "×", inside, whys[0], self.counter), Step(total, "÷", friends, whys[1], self.counter)]
        if self.ko:
            return Problem([f"{self.who}에게 {self.thing} 상자가 {packs}개 있고, 한 상자에 {self.count(inside)}씩 들어 있습니다.",
                            f"이것을 {friends}명이 똑같이 나눕니다."], f"한 명이 {self.thing} 몇 {josa(self.counter, '을/를')} 받습니까?",
                           steps, "한 명이 받는 것은")
        return Problem([f"{self.who} has {packs} boxes of {inside} {self.thing} each.",
                        f"They are shared equally among {friends} people."],
                       f"How many {self.thing} does each person get?",
                       steps, "each person gets")

    def trip(self):
        speed, hours, walk = self.rng.randint(8, 95), self.rng.randint(2, 9), self.rng.randint(2, 30)
        unit = "km"
        whys = ([f"한 시간에 {speed}km씩 {hours}시간을 가", f"그 다음에 {walk}km를 더 걸어가"] if self.ko else
                [f"{self.who} rides {speed} km in each of {hours} hours", f"there are {walk} km more on foot"])
        steps = [Step(speed, "×", hours, whys[0], unit)]
        steps.append(Step(steps[0].result, "+", walk, whys[1], unit))
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} {self.place}까지 한 시간에 {speed}km의 빠르기로 {hours}시간 동안 갔습니다.",
                            f"그리고 {walk}km를 걸었습니다."], "모두 몇 km를 갔습니까?", steps, "간 거리는 모두")
        return Problem([f"{self.who} rode towards {self.place} at {speed} km an hour for {hours} hours.",
                        f"Then {self.who} walked {walk} km."], "How far was the whole way?", steps, "the whole way is")

    def change(self):
        n, p, extra = self.rng.randint(2, 12), self.price(2, 30), self.price(1, 40)
        given = n * p + extra
        whys = ([f"{self.thing} 한 {self.counter}의 값이 {p}원이", f"{given}원을 냈으니 남은 돈을 돌려받아야 하"] if self.ko else
                [f"{n} {self.thing} at {amount(p, 'dollars')} are bought", f"{self.who} gave {given} dollars"])
        steps = [Step(n, "×", p, whys[0], self.money), Step(given, "-", n * p, whys[1], self.money)]
        if self.ko:
            return Problem([f"{josa(self.who, '이/가')} 한 {self.counter}에 {p}원인 {josa(self.thing, '을/를')} "
                            f"{self.count(n)} 사고 {given}원을 냈습니다."],
                           "거스름돈은 얼마입니까?", steps, "거스름돈은")
        return Problem([f"{self.who} paid for {n} {self.thing} at {amount(p, 'dollars')} each with {given} dollars."],
                       "How much change is due?", steps, "the change is")

    def reading(self):
        daily, days, left = self.rng.randint(6, 60), self.rng.randint(3, 14), self.rng.randint(5, 180)
        pages, unit = daily * days + left, "쪽" if self.ko else "pages"
        whys = ([f"날마다 {daily}쪽씩 {days}일 동안 읽으니 읽은 양을 곱해야 하", f"책이 모두 {pages}쪽이"] if self.ko else
                [f"{self.who} reads {daily} pages on each of {days} days", f"the book has {pages} pages"])
        steps = [Step(daily, "×", days, whys[0], unit), Step(pages, "-", daily * days, whys[1], unit)]
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} {pages}쪽짜리 책을 날마다 {daily}쪽씩 {days}일 동안 읽었습니다."],
                           "몇 쪽이 남았습니까?", steps, "남은 것은")
        return Problem([f"{self.who} has a book of {pages} pages and reads {daily} pages a day for {days} days."],
                       "How many pages are left?", steps, "what is left is")

    def ages(self):
        age, more, years = self.rng.randint(5, 60), self.rng.randint(2, 30), self.rng.randint(2, 20)
        unit = "살" if self.ko else "years"
        whys = ([f"{josa(self.other, '이/가')} {more}살 더 많은 나이이", f"{years}년이 지나"] if self.ko else
                [f"{self.other} is {more} years older", f"{years} years go by"])
        steps = [Step(age, "+", more, whys[0], unit), Step(age + more, "+", years, whys[1], unit)]
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} {age}살이고, {josa(self.other, '은/는')} {more}살 더 많습니다."],
                           f"{years}년 뒤 {self.other}의 나이는 몇 살입니까?", steps, f"{self.other}의 나이는")
        return Problem([f"{self.who} is {age} years old, and {self.other} is {more} years older."],
                       f"How old will {self.other} be in {years} years?", steps, f"the age of {self.other} will be")

    # Topics of the arms.

    def discount(self):
        percent, base = self.rng.choice([5, 10, 15, 20, 25, 30, 35, 40, 45, 60]), self.rng.randint(2, 48)
        price = base * 20 * (50 if self.ko else 1)
        whys = ([f"할인율이 {percent}%이", "백으로 나누어야 하", "할인은 값에서 빼야 하"] if self.ko else
                [f"the discount is {percent}% of the price", "a percentage is a part of 100",
                 "a discount is taken off"])
        steps = [Step(price, "×", percent, whys[0], ""), Step(price * percent, "÷", 100, whys[1], self.money)]
        steps.append(Step(price, "-", steps[1].result, whys[2], self.money))
        if self.ko:
            return Problem([f"{self.place}에서 {price}원인 {josa(self.thing, '을/를')} {percent}% 할인합니다."],
                           f"{josa(self.who, '이/가')} 내야 할 돈은 얼마입니까?", steps, "내야 할 돈은")
        return Problem([f"A set of {self.thing} at {self.place} costs {price} dollars and is sold at {percent}% off."],
                       f"What does {self.who} pay?", steps, "the price to pay is")

    def fence(self):
        wide, long, cost = self.rng.randint(3, 45), self.rng.randint(3, 60), self.price(2, 19)
        metre = "미터" if self.ko else "meters"
        whys = (["가로와 세로를 더해야 하", "마주 보는 변이 두 개씩이", f"1미터에 {cost}원이"] if self.ko else
                ["one long and one short side go together", "each side is there twice",
                 f"one meter costs {amount(cost, 'dollars')}"])
        steps = [Step(wide, "+", long, whys[0], metre), Step(wide + long, "×", 2, whys[1], metre)]
        steps.append(Step(steps[1].result, "×", cost, whys[2], self.money))
        if self.ko:
            return Problem([f"{self.place} 뒤의 밭은 가로 {wide}미터, 세로 {long}미터입니다.", f"울타리는 1미터에 {cost}원입니다."],
                           "밭을 두르는 울타리 값은 얼마입니까?", steps, "울타리 값은")
        return Problem([f"The field behind {self.place} is {wide} meters wide and {long} meters long.",
                        f"A fence costs {amount(cost, 'dollars')} a meter."], "What does a fence around it cost?",
                       steps, "the fence costs")

    def average(self):
        x, y, mean = self.rng.randint(40, 99), self.rng.randint(40, 99), self.rng.randint(50, 95)
        z = 3 * mean - x - y
        if not 20 <= z <= 100:
            z += 3 * ((100 - z) // 3 if z > 100 else (22 - z) // 3)
        unit = "점" if self.ko else "points"
        whys = (["첫 두 점수를 더해야 하", f"세 번째 점수가 {z}점이", "시험이 세 번이"] if self.ko else
                ["the first two results come first", f"the third result is {z} points", "there were 3 tests"])
        steps = [Step(x, "+", y, whys[0], unit), Step(x + y, "+", z, whys[1], unit),
                 Step(x + y + z, "÷", 3, whys[2], unit)]
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} 시험에서 {x}점, {y}점, {z}점을 받았습니다."], "평균은 몇 점입니까?", steps, "평균은")
        return Problem([f"{self.who} got {x}, {y} and {z} points in three tests."], "What is the average?", steps,
                       "the average is")

    def stock(self):
        rows, each = self.rng.randint(3, 25), self.rng.randint(4, 40)
        sold, came = self.rng.randint(1, rows * each - 1), self.rng.randint(3, 200)
        out, new = (josa(self.count(sold), "을/를"), josa(self.count(came), "이/가")) if self.ko else ("", "")
        whys = ([f"한 줄에 {self.count(each)}씩 {rows}줄이", f"{out} 팔아서 빼야 하", f"{new} 새로 들어오"] if self.ko else
                [f"{rows} shelves hold {each} {self.thing} each", f"{sold} of them are sold", f"{came} more arrive"])
        steps = [Step(rows, "×", each, whys[0], self.counter)]
        steps.append(Step(rows * each, "-", sold, whys[1], self.counter))
        steps.append(Step(steps[1].result, "+", came, whys[2], self.counter))
        if self.ko:
            return Problem([f"{self.place}의 창고에 {josa(self.thing, '이/가')} {rows}줄 있고, 한 줄은 {self.count(each)}입니다.",
                            f"오늘 {out} 팔았고 {new} 들어왔습니다."],
                           f"지금 {josa(self.thing, '은/는')} 몇 {self.counter}입니까?", steps, f"지금 {josa(self.thing, '은/는')}")
        return Problem([f"At {self.place} there are {rows} shelves with {each} {self.thing} on each.",
                        f"Today {sold} were sold and {came} came in."], f"How many {self.thing} are there now?", steps,
                       "the stock is now")

    def wages(self):
        hours, wage = self.rng.randint(3, 45), self.price(9, 140 if self.ko else 40)
        rent = self.rng.randint(1, hours * wage // (100 if self.ko else 1) - 1) * (100 if self.ko else 1)
        whys = ([f"시간당 {wage}원이", f"방값이 {rent}원이"] if self.ko else
                [f"every one of the {hours} hours is paid with {amount(wage, 'dollars')}",
                 f"the rent is {amount(rent, 'dollars')}"])
        steps = [Step(hours, "×", wage, whys[0], self.money), Step(hours * wage, "-", rent, whys[1], self.money)]
        if self.ko:
            return Problem([f"{josa(self.who, '은/는')} {self.place}에서 {hours}시간 일하고 시간당 {wage}원을 받습니다.",
                            f"방값 {rent}원을 냅니다."],
                           "남는 돈은 얼마입니까?", steps, "남는 돈은")
        return Problem([f"{self.who} works {hours} hours at {self.place} for {amount(wage, 'dollars')} an hour "
                        f"and pays {amount(rent, 'dollars')} of rent."],
                       "How much is left?", steps, "what is left is")

    def tank(self):
        leak, hours = self.rng.randint(2, 30), self.rng.randint(2, 24)
        left, filled = self.rng.randint(3, 300), self.rng.randint(2, 90)
        full, unit = leak * hours + left, "리터" if self.ko else "liters"
        whys = ([f"한 시간에 {leak}리터씩 {hours}시간 동안 새", f"처음에 {full}리터이", f"{filled}리터를 더 부으니 더해야 하"] if self.ko else
                [f"{leak} liters run out in each of {hours} hours", f"the tank held {full} liters",
                 f"{filled} liters are poured in"])
        steps = [Step(leak, "×", hours, whys[0], unit), Step(full, "-", leak * hours, whys[1], unit),
                 Step(left, "+", filled, whys[2], unit)]
        if self.ko:
            return Problem([f"물통에 물이 {full}리터 있는데 한 시간에 {leak}리터씩 샙니다.",
                            f"{hours}시간 뒤에 {josa(self.who, '이/가')} {filled}리터를 부었습니다."],
                           "물은 몇 리터입니까?", steps, "물은")
        return Problem([f"A tank of {full} liters loses {leak} liters an hour.",
                        f"After {hours} hours {self.who} pours in {filled} liters."],
                       "How much water is in it?", steps, "the tank holds")

    def calendar(self):
        today, weeks, rest = self.rng.randint(0, 6), self.rng.randint(1, 40), self.rng.randint(1, 6)
        days = weeks * 7 + rest
        now, then = DAYS[self.language][today], DAYS[self.language][(today + rest) % 7]
        unit = "일" if self.ko else "days"
        whys = ([f"한 주가 7일이고 {weeks}주가 들어가", f"모두 {days}일이"] if self.ko else
                [f"a week has 7 days and {weeks} weeks fit in", f"there are {days} days in all"])
        steps = [Step(weeks, "×", 7, whys[0], unit), Step(days, "-", weeks * 7, whys[1], unit)]
        if self.ko:
            return Problem([f"오늘은 {now}이고, {self.who}의 잔치는 {days}일 뒤입니다."], "잔치는 무슨 요일입니까?", steps,
                           f"{now}에서 {rest}일이 지난 {then}이고, 남는 날은")
        return Problem([f"Today is {now}, and the party of {self.who} is in {days} days."],
                       "On which day of the week is it?", steps,
                       f"the party is on {then}, and the days beyond whole weeks are")

    def seats(self):
        buses, seats = self.rng.randint(3, 14), self.rng.randint(12, 55)
        empty = self.rng.randint(2, seats - 1)
        adults = self.rng.randint(2, buses * seats - empty - 1)
        unit = "명" if self.ko else "people"
        whys = ([f"버스 {buses}대에 자리가 {seats}개씩이", f"빈자리가 {empty}개이", f"어른이 {adults}명이"] if self.ko else
                [f"{buses} buses have {seats} seats each", f"{empty} seats stay empty", f"{adults} of them are adults"])
        steps = [Step(buses, "×", seats, whys[0], unit), Step(buses * seats, "-", empty, whys[1], unit)]
        steps.append(Step(steps[1].result, "-", adults, whys[2], unit))
        if self.ko:
            return Problem([f"자리가 {seats}개인 버스 {buses}대가 {self.place}에 왔고, 빈자리는 모두 {empty}개였습니다.",
                            f"어른은 {adults}명이었습니다."],
                           "어린이는 몇 명입니까?", steps, "어린이는")
        return Problem([f"{buses} buses with {seats} seats each came to {self.place}, with {empty} seats empty.",
                        f"There were {adults} adults."],
                       "How many children came?", steps, "the children are")


TOPICS = {"start": ["shop", "share", "trip", "change", "reading", "ages"],
          "arms": ["discount", "fence", "average", "stock", "wages", "tank", "calendar", "seats"]}

ASKED = {
    "en": ["{p}", "Can you help me? {p}", "I am stuck on this one. {p}", "{p} Please show the steps.",
           "Here is a problem. {p}",
           "My homework says: {p}", "{p} How do you know?", "A short one for you. {p}", "{p} Explain it to me."],
    "ko": ["{p}", "도와주세요. {p}", "이 문제가 어렵습니다. {p}", "{p} 풀이도 보여 주세요.", "문제가 하나 있습니다. {p}", "숙제입니다. {p}",
           "{p} 어떻게 알 수 있습니까?", "짧은 문제입니다. {p}", "{p} 설명해 주세요."],
}
OPENINGS = {
    "en": ["", "", "", "Let us go step by step.", "I will work it out.", "There are {n} steps.",
           "We can do this in order.",
           "Here is how I see it.", "Good question."],
    "ko": ["", "", "", "차례대로 풀어 보겠습니다.", "하나씩 계산하겠습니다.", "{n}단계로 풀 수 있습니다.", "순서를 정해서 봅시다.",
           "이렇게 생각합니다.", "좋은 질문입니다."],
}
# {x} the two numbers and what is done with them, {r} what comes out, with its unit.
STEPS = {
    "en": ["Because {w}, {x} = {r}.", "Since {w}, we take {x} and get {r}.",
           "We know that {w}, and therefore {x} = {r}.",
           "If {w}, then {x} gives {r}.", "As {w}, the next number is {x} = {r}.", "Note that {w}; thus {x} = {r}.",
           "{W}, which means {x}, or {r}.", "{W}. Hence {x} = {r}.", "{W}, so {x} makes {r}."],
    "ko": ["{w}므로 {x} = {r}입니다.", "{w}기 때문에 {x}, 즉 {r}입니다.", "{w}니까 {x} = {r}입니다.", "{w}면 {x} = {r}입니다.",
           "{w}므로 계산은 {x}이고 답은 {r}입니다.", "{w}니까 {x}에서 {r}{i} 나옵니다.", "{w}기 때문에 {x} = {r}{o} 씁니다.",
           "{w}므로, 따라서 {x} = {r}입니다."],
}
FIRST = {"en": ["First, ", "", ""], "ko": ["먼저 ", "", ""]}
# After a wrong number {v}: what takes it back. The markers are those of the rules (client/data/rules).
SLIPS = {
    "en": ["Wait, {x} is {r}, not {v}.", "No, that is wrong: {x} = {r}.", "Actually, {x} is {r}.",
           "Hmm, {v} cannot be right. It is {r}.",
           "Let me check: {x} = {r}, not {v}.", "On second thought, it is {r}, since {x} is {r}.",
           "Correction: {x} = {r}.",
           "My mistake: the right number is {r}.", "Wait, I went wrong there. {x} = {r}.",
           "Let me double-check. {x} makes {r}, not {v}.",
           "Actually, I counted badly; it is {r}.", "Mistake! {x} = {r}."],
    "ko": ["잠깐, {x}{t} {v}{n} 아니라 {r}입니다.", "아니, {x} = {r}입니다.", "다시 계산해 보면 {x} = {r}입니다.", "정정합니다. {x} = {r}입니다.",
           "실수했습니다. {v}{n} 아니라 {r}입니다.", "틀렸습니다. 맞는 값은 {r}입니다.", "사실은 {x} = {r}입니다.",
           "그게 아니라 {r}입니다.", "다시 확인해 보면 {v}{n} 아니고 {r}입니다.", "잠깐만요, {v}{t} 맞지 않습니다. {x} = {r}입니다.",
           "다시 생각해 보니 답은 {r}입니다.", "정정: {x} = {r}."],
}
# After a wrong way to compute.
DETOURS = {
    "en": ["Wait, that does not fit, because {w}: {x} = {r}.", "No, the numbers belong together otherwise: {x} = {r}.",
           "Actually, {w}, so it must be {x} = {r}.", "Let me check: {w}, therefore {x} = {r}.",
           "On second thought, {x} is what we need, and that is {r}."],
    "ko": ["잠깐, {w}니까 {x} = {r}입니다.", "아니, {w}므로 {x} = {r}입니다.", "그게 아니라 {w}기 때문에 {x} = {r}입니다.",
           "다시 생각해 보면 {w}므로 {x} = {r}입니다.", "오히려 {x}{l} 계산해야 하고 {r}입니다."],
}
ENDS = {
    "en": ["Therefore {a} {r}.", "Finally, {a} {r}.", "So {a} {r}.", "The result: {a} {r}.", "In short, {a} {r}.",
           "Thus {a} {r}."],
    "ko": ["따라서 {a} {r}입니다.", "그러므로 {a} {r}입니다.", "결국 {a} {r}입니다.", "그래서 {a} {r}입니다.", "답: {a} {r}입니다.",
           "마지막으로 정리하면, {a} {r}입니다."],
}
DOUBTS = {
    "en": ["Are you sure? I got {v}.", "My friend says {v}. Who is right?", "Is it not {v}?", "The book says {v}."],
    "ko": ["정말입니까? 저는 {v}{i} 나왔습니다.", "친구는 {v}라고 합니다. 누가 맞습니까?", "{v} 아닙니까?", "책에는 {v}라고 써 있습니다."],
}
ANSWERS = {
    "en": ["Let me check: {x} = {r}. However, {v} comes out if one slips in the last step, so {r} stands.",
           "No, it is {r}, because {w} and {x} = {r}.", "I am sure: {w}, hence {x} = {r}.",
           "Although {v} looks close, {x} is {r}.", "Hmm, {x} is {r} and not {v}, since {w}."],
    "ko": ["다시 확인해 보면 {x} = {r}입니다. 하지만 마지막 단계에서 실수하면 {v}{i} 나올 수 있습니다.",
           "아니, {w}므로 {x} = {r}입니다.", "{w}기 때문에 {x} = {r}{i} 맞습니다.", "{v}{t} 비슷하지만 {x} = {r}입니다.",
           "그게 아니라 {w}니까 {x} = {r}입니다."],
}


def wrong_value(rng, step):
    """A number that a slip would give: a lost carry, one off, two digits exchanged, a zero too many."""
    r = step.result
    values = [r + 10, r - 10, r + 1, r - 1, r + 100, r - 100, r * 10, r + step.b]
    digits = str(r)
    if len(digits) > 1:
        at = rng.randrange(len(digits) - 1)
        values.append(int(digits[:at] + digits[at + 1] + digits[at] + digits[at + 2:]))
    return rng.choice([value for value in values if value > 0 and value != r])


def filled(pattern, language, step, value=None):
    ko = language == "ko"
    r = amount(step.result, step.unit)
    v = amount(value, step.unit) if value is not None else ""
    x = f"{step.a} {step.op} {step.b}"
    parts = {"w": step.why, "W": step.why[0].upper() + step.why[1:], "x": x, "r": r, "v": v}
    if ko:
        parts["t"] = josa(v or x, "은/는")[len(v or x):] if "{v}{t}" in pattern else josa(x, "은/는")[len(x):]
        parts["n"] = josa(v, "이/가")[len(v):] if v else ""
        ending = v if "{v}{i}" in pattern else r
        parts["i"] = josa(ending, "이/가")[len(ending):]
        closed = (ord(r[-1]) - ord("가")) % 28 if "가" <= r[-1] <= "힣" else 1 if r[-1] in "036" else 0
        parts["o"] = "으로" if closed not in (0, 8) else "로"
        parts["l"] = "으로" if x[-1] in "036" else "로"
    return pattern.format(**parts)


def solution(rng, language, problem):
    said = [rng.choice(OPENINGS[language]).format(n=len(problem.steps))]
    for number, step in enumerate(problem.steps):
        # "하면" would make a condition of what has to be done.
        pattern = rng.choice([p for p in STEPS[language] if not (p.startswith("{w}면") and step.why.endswith("하"))])
        head = rng.choice(FIRST[language]) if number == 0 and not pattern.startswith("{W}") else ""
        fate = rng.random()
        others = [step._replace(op=op) for op in "+×-" if op != "-" or step.a > step.b]
        detours = [other for other in others if other.result != step.result]
        if fate < 0.22:  # A slip, taken back.
            value = wrong_value(rng, step)
            said += [begin(head, slipped(pattern, language, step, value)),
                     filled(rng.choice(SLIPS[language]), language, step, value)]
        elif fate < 0.32 and detours:  # The wrong thing to do with the numbers, taken back.
            detour = rng.choice(detours)
            said += [rough(rng, language, detour), filled(rng.choice(DETOURS[language]), language, step)]
        else:
            said.append(begin(head, filled(pattern, language, step)))
    last = problem.steps[-1]
    said.append(rng.choice(ENDS[language]).format(a=problem.answer, r=amount(last.result, last.unit)))
    return " ".join(filter(None, said)) if rng.random() < 0.7 else "\n".join(filter(None, said))


def begin(head, sentence):
    return head + sentence[0].lower() + sentence[1:] if head else sentence


def slipped(pattern, language, step, value):
    """The step as it would be said with another result."""
    class Slip(Step):
        result = value
    return filled(pattern, language, Slip(*step))


def rough(rng, language, step):
    x, r = f"{step.a} {step.op} {step.b}", amount(step.result, step.unit)
    if language == "ko":
        return rng.choice([f"{x} = {r}입니다.", f"{josa(str(step.a), '과/와')} {josa(str(step.b), '을/를')} 보면 {x} = {r}입니다.",
                           f"먼저 {x} = {r}입니다."])
    return rng.choice([f"{x} = {r}.", f"With {step.a} and {step.b} we have {x} = {r}.", f"First, {x} is {r}."])


def dialogue(rng, language, topic):
    problem = getattr(Teller(rng, language), topic)()
    text = " ".join(problem.told + [problem.question])
    messages = [("user", rng.choice(ASKED[language]).format(p=text)), ("assistant", solution(rng, language, problem))]
    if rng.random() < 0.3:
        step = problem.steps[-1]
        value = wrong_value(rng, step)
        messages += [("user", filled(rng.choice(DOUBTS[language]), language, step, value)),
                     ("assistant", filled(rng.choice(ANSWERS[language]), language, step, value))]
    return [{"role": role, "content": content} for role, content in messages]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--topics", choices=sorted(TOPICS), required=True,
                        help="those of the start model, or those of the arms")
    parser.add_argument("--count", type=int, required=True, help="dialogues, half in each language")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    topics = TOPICS[arguments.topics]
    for number in range(arguments.count):
        language = ("ko", "en")[number % 2]
        # Seeded one by one: more dialogues are the same ones and further ones.
        rng = random.Random(f"{arguments.seed} {arguments.topics} {number}")
        line = {"id": f"synthetic-{language}-{arguments.seed}-{number:07}", "synthetic": True,
                "messages": dialogue(rng, language, topics[number // 2 % len(topics)])}
        print(json.dumps(line, ensure_ascii=False))
    print(f"{arguments.count} synthetic dialogues, seed {arguments.seed}, topics: {', '.join(topics)}", file=sys.stderr)


if __name__ == "__main__":
    main()
