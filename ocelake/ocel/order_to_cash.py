"""A company that sells, ships and collects: what `ocelake.ocel.generate` simulates.

Two years of orders with items, products that run out of stock, packages that fail to be delivered, customers who pay
late. Every step is drawn as whole columns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ocelake.ocel.simulation import Column, Integers, Simulation

__all__ = ["PERMANENT", "simulate"]

_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
_OPENS: Final = 7 * _HOUR
_CLOSES: Final = 18 * _HOUR
_START: Final = 19_359  # Monday 2023-01-02, in days since 1970
_DAYS: Final = 728
_TERM: Final = 14 * _DAY

PERMANENT: Final = ("customers", "employees", "products")
"""The types whose objects exist whether or not anything happens to them."""

_OBJECT_ATTRIBUTES: Final = {
    "customers": {"credit limit": "integer", "name": "string", "since": "time", "vip": "boolean"},
    "employees": {"hired": "time", "hourly rate": "float", "name": "string", "role": "string"},
    "items": {"price": "float", "quantity": "integer"},
    "orders": {"due": "time", "express": "boolean", "price": "float", "status": "string"},
    "packages": {"fragile": "boolean", "status": "string", "weight": "float"},
    "products": {"name": "string", "perishable": "boolean", "price": "float", "shelf": "integer", "weight": "float"},
}

_EVENT_ATTRIBUTES: Final[dict[str, dict[str, str]]] = {
    "confirm order": {"automatic": "boolean"},
    "create package": {},
    "failed delivery": {"attempt": "integer", "reason": "string"},
    "item out of stock": {},
    "package delivered": {},
    "pay order": {"amount": "float", "method": "string"},
    "payment reminder": {"level": "integer"},
    "pick item": {"station": "integer"},
    "place order": {"channel": "string"},
    "reorder item": {"quantity": "integer"},
    "repack package": {"reason": "string"},
    "send package": {"promised": "time"},
}

_TRADES: Final = np.array(["Bakery", "Books", "Cycles", "Florist", "Garden", "Hotel", "Pharmacy", "School", "Toys"])
_NAMES: Final = np.array(["Adler", "Bianchi", "Costa", "Dupont", "Evans", "Fischer", "García", "Haas", "Šimić"])
_FIRST_NAMES: Final = np.array(["Ana", "Ben", "Céline", "Dai", "Ella", "Finn"])
_ADJECTIVES: Final = np.array(["Basic", "Compact", "Deluxe", "Folding", "Light", "Mini", "Solid", "Travel"])
_NOUNS: Final = np.array(["Backpack", "Camera", "Desk Lamp", "Kettle", "Keyboard", "Radio", "Speaker", "Tent", "Watch"])
_ROLES: Final = np.array(["sales", "warehouse", "shipping"])


def simulate(orders: int, seed: int) -> Simulation:
    """Let so many orders come in, and everything happen that follows; about 13 events each."""
    return _Company(orders, np.random.default_rng(seed)).run()


class _Company:
    """One run of the simulation: what the steps need of each other."""

    def __init__(self, orders: int, random: np.random.Generator) -> None:
        self.random = random
        sizes = 1 + np.minimum(random.poisson(3.0, orders), 11)
        parcels = 1 + random.binomial(sizes - 1, 0.17)
        counts = {
            "customers": 4 + orders // 3,
            "employees": 6 + orders // 150,
            "items": int(sizes.sum()),
            "orders": orders,
            "packages": int(parcels.sum()),
            "products": 10 + orders // 60,
        }
        self.log = Simulation(counts, _EVENT_ATTRIBUTES, _OBJECT_ATTRIBUTES)
        self.orders = self.log.codes("orders")
        self.items = self.log.codes("items")
        self.packages = self.log.codes("packages")
        self.customers = self.log.codes("customers")
        self.products = self.log.codes("products")
        self.sales, self.warehouse, self.shipping = (
            self.log.codes("employees")[start :: len(_ROLES)] for start in range(len(_ROLES))
        )
        self.order_of_item = np.repeat(np.arange(orders), sizes)
        self.order_of_package = np.repeat(np.arange(orders), parcels)
        within = np.arange(len(self.items)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        first_package = np.cumsum(parcels) - parcels
        self.package_of_item = first_package[self.order_of_item] + within % parcels[self.order_of_item]

    def run(self) -> Simulation:
        """Let everything happen."""
        self._arrange()
        self._sell()
        self._pick()
        self._ship()
        self._collect()
        self._reprice()
        return self.log

    # --- what exists

    def _arrange(self) -> None:
        random, log = self.random, self.log
        placed = _arrivals(len(self.orders), random)
        self.web = random.random(len(placed)) < 0.7
        self.placed = np.where(self.web, placed, _working(placed))
        # One in 50 customers and products is never chosen: objects without events.
        self.customer = self.customers[_skewed(len(self.customers) * 49 // 50, len(self.orders), 1.4, random)]
        self.product = self.products[_skewed(len(self.products) * 49 // 50, len(self.items), 1.8, random)]
        self.seller = random.choice(self.sales, len(self.orders))

        list_price = np.round(random.lognormal(3.6, 0.8, len(self.products)) + 1, 2)
        product = self.product - self.products[0]
        quantity = random.geometric(0.6, len(self.items))
        price = np.round(list_price[product] * quantity, 2)
        self.total = np.round(np.bincount(self.order_of_item, price, len(self.orders)), 2)
        self.list_price = list_price

        log.value("items", "price", self.items, price)
        log.value("items", "quantity", self.items, quantity)
        log.value("orders", "price", self.orders, self.total)
        log.value("orders", "express", self.orders, random.random(len(self.orders)) < 0.15)
        log.value("orders", "due", self.orders, self.placed + _TERM)
        log.value("orders", "status", self.orders, np.full(len(self.orders), "open"))
        weight = np.round(random.lognormal(-0.3, 0.9, len(self.products)) + 0.05, 3)
        self.weight = np.round(np.bincount(self.package_of_item, weight[product] * quantity, len(self.packages)), 3)
        log.value("packages", "weight", self.packages, self.weight)
        log.value("packages", "fragile", self.packages, random.random(len(self.packages)) < 0.2)
        log.value("packages", "status", self.packages, np.full(len(self.packages), "packed"))
        self._master_data(list_price, weight)

        item_orders = self.orders[self.order_of_item]
        log.link(item_orders, self.items, "comprises")
        log.link(self.items, self.product, "is a")
        log.link(self.packages[self.package_of_item], self.items, "contains")
        log.link(self.customer, self.orders, "places")
        log.link(self.packages, self.orders[self.order_of_package], "ships")
        log.link(self.customers, random.choice(self.sales, len(self.customers)), "is advised by")

    def _master_data(self, list_price: Column, weight: Column) -> None:
        random, log = self.random, self.log
        many = len(self.customers)
        log.value("customers", "name", self.customers, _names(_NAMES, _TRADES, many, random))
        log.value("customers", "credit limit", self.customers, 500 * random.integers(1, 40, many))
        log.value("customers", "vip", self.customers, random.random(many) < 0.1)
        log.value("customers", "since", self.customers, (_START - random.integers(1, 4_000, many)) * _DAY)
        employees = log.codes("employees")
        many = len(employees)
        log.value("employees", "name", employees, _names(_FIRST_NAMES, _NAMES, many, random))
        log.value("employees", "role", employees, np.resize(_ROLES, many))
        log.value("employees", "hired", employees, (_START - random.integers(1, 6_000, many)) * _DAY + 9 * _HOUR)
        log.value("employees", "hourly rate", employees, np.round(random.uniform(15, 45, many), 1))
        many = len(self.products)
        log.value("products", "name", self.products, _names(_ADJECTIVES, _NOUNS, many, random))
        log.value("products", "price", self.products, list_price)
        log.value("products", "weight", self.products, weight)
        log.value("products", "shelf", self.products, random.integers(1, 200, many))
        log.value("products", "perishable", self.products, random.random(many) < 0.1)

    # --- what happens

    def _sell(self) -> None:
        random, log = self.random, self.log
        channel = np.where(self.web, "web", random.choice(["phone", "mail", "fair"], len(self.orders)))
        place = log.happen("place order", self.placed, {"channel": channel})
        log.relate(place, self.orders, "order")
        log.relate(place, self.customer, "customer")
        log.relate(place[self.order_of_item], self.items, "item")
        log.relate(place[self.order_of_item], self.product, "product")
        called = ~self.web
        log.relate(place[called], self.seller[called], "sales person")

        # Small web orders are confirmed by the shop itself, in the same second.
        automatic = self.web & (self.total < 150)
        later = _working(self.placed + self._wait(2 * _HOUR, 1.0, len(self.orders)))
        self.confirmed = np.where(automatic, self.placed, later)
        confirm = log.happen("confirm order", self.confirmed, {"automatic": automatic})
        log.relate(confirm, self.orders, "order")
        log.relate(confirm[self.order_of_item], self.items, "item")
        log.relate(confirm[~automatic], self.seller[~automatic], "sales person")
        # Who sells for much also approves it: two qualifiers for one pair.
        large = ~automatic & (self.total > 400)
        log.relate(confirm[large], self.seller[large], "approver")
        log.value("orders", "status", self.orders, np.full(len(self.orders), "confirmed"), self.confirmed)

    def _pick(self) -> None:
        random, log = self.random, self.log
        ready = self.confirmed[self.order_of_item]
        waiting = np.arange(len(self.items))
        for share in (0.13, 0.3, 0.3):
            waiting = waiting[random.random(len(waiting)) < share]
            missed = _working(ready[waiting] + self._wait(3 * _HOUR, 0.8, len(waiting)))
            missing = log.happen("item out of stock", missed)
            log.relate(missing, self.items[waiting], "item")
            log.relate(missing, self.product[waiting], "product")
            bought = _working(missed + self._wait(_DAY, 0.7, len(waiting)))
            reorder = log.happen("reorder item", bought, {"quantity": 10 * random.integers(1, 10, len(waiting))})
            log.relate(reorder, self.items[waiting], "item")
            log.relate(reorder, self.product[waiting], "product")
            log.relate(reorder, random.choice(self.warehouse, len(waiting)), "buyer")
            ready[waiting] = _working(bought + self._wait(4 * _DAY, 0.6, len(waiting)))
        wrong = np.arange(len(self.items))
        for share in (1.0, 0.04):  # the wrong thing is picked now and then, and the item once more
            wrong = wrong[random.random(len(wrong)) < share]
            time = _working(ready[wrong] + self._wait(5 * _HOUR, 0.9, len(wrong)))
            time -= np.where(random.random(len(wrong)) < 0.3, time % 60, 0)  # hand-held scanners know minutes only
            time = np.maximum(time, ready[wrong])
            pick = log.happen("pick item", time, {"station": random.integers(1, 13, len(wrong))})
            log.relate(pick, self.items[wrong], "item")
            log.relate(pick, self.product[wrong], "product")
            log.relate(pick, random.choice(self.warehouse, len(wrong)), "picker")
            ready[wrong] = time
        self.complete = np.zeros(len(self.packages), np.int64)
        np.maximum.at(self.complete, self.package_of_item, ready)

    def _ship(self) -> None:
        random, log = self.random, self.log
        many = len(self.packages)
        packer = random.choice(self.warehouse, many)
        packed = _working(self.complete + self._wait(2 * _HOUR, 0.9, many))
        create = self._handle("create package", packed, np.arange(many))
        log.relate(create, self.orders[self.order_of_package], "order")
        log.relate(create, packer, "packer")
        checked = random.random(many) < 0.3
        log.relate(create[checked], packer[checked], "checker")

        damaged = np.flatnonzero(random.random(many) < 0.05)
        time = _working(packed[damaged] + self._wait(4 * _HOUR, 0.5, len(damaged)))
        reason = random.choice(["box too small", "damaged", "item missing"], len(damaged))
        repack = self._handle("repack package", time, damaged, {"reason": reason})
        log.relate(repack, packer[damaged], "packer")
        packed[damaged] = time
        heavier = np.round(self.weight[damaged] + 0.15, 3)
        log.value("packages", "weight", self.packages[damaged], heavier, time)

        sent = _working(packed + self._wait(8 * _HOUR, 0.7, many))
        send = self._handle("send package", sent, np.arange(many), {"promised": sent + 2 * _DAY})
        log.relate(send, random.choice(self.shipping, many), "shipper")

        driver = random.choice(self.shipping, many)
        trying, tried = np.arange(many), sent.copy()
        for attempt, share in enumerate((0.14, 0.4, 0.4), start=1):
            trying = trying[random.random(len(trying)) < share]
            tried[trying] = _working(tried[trying] + self._wait(_DAY, 0.3, len(trying)))
            reason = random.choice(["address not found", "nobody at home", "refused"], len(trying))
            values: dict[str, Column] = {"attempt": np.full(len(trying), attempt), "reason": reason}
            failed = self._handle("failed delivery", tried[trying], trying, values)
            log.relate(failed, driver[trying], "driver")
        self.arrived = _working(tried + self._wait(1.2 * _DAY, 0.4, many))
        deliver = self._handle("package delivered", self.arrived, np.arange(many))
        log.relate(deliver, self.orders[self.order_of_package], "order")
        log.relate(deliver, self.customer[self.order_of_package], "recipient")
        log.relate(deliver, driver, "driver")
        log.value("packages", "status", self.packages, np.full(many, "delivered"), self.arrived)

    def _handle(
        self, activity: str, time: Integers, packages: Integers, values: dict[str, Column] | None = None
    ) -> Integers:
        """Something is done with each of the packages, and with what is in it."""
        events = self.log.happen(activity, time, values)
        self.log.relate(events, self.packages[packages], "package")
        event_of = np.full(len(self.packages), -1)
        event_of[packages] = events
        touched = event_of[self.package_of_item]
        self.log.relate(touched[touched >= 0], self.items[touched >= 0], "item")
        return events

    def _collect(self) -> None:
        random, log = self.random, self.log
        paid = self.placed + self._wait(9 * _DAY, 0.7, len(self.orders))
        paid = np.maximum(np.where(random.random(len(paid)) < 0.6, _working(paid), paid), self.confirmed)
        for level in (1, 2, 3):
            # Reminders are sent by one nightly run: many events at the same time.
            sent = (self.placed + level * _TERM) // _DAY * _DAY + _DAY + 6 * _HOUR
            late = np.flatnonzero(sent < paid)
            remind = log.happen("payment reminder", sent[late], {"level": np.full(len(late), level)})
            log.relate(remind, self.orders[late], "order")
            log.relate(remind, self.customer[late], "customer")
        paying = np.flatnonzero(random.random(len(paid)) < 0.985)
        method = random.choice(["card", "direct debit", "transfer"], len(paying), p=[0.5, 0.2, 0.3])
        pay = log.happen("pay order", paid[paying], {"amount": self.total[paying], "method": method})
        log.relate(pay, self.orders[paying], "order")
        log.relate(pay, self.customer[paying], "payer")
        log.value("orders", "status", self.orders[paying], np.full(len(paying), "paid"), paid[paying])

    def _reprice(self) -> None:
        """Products become dearer, and cheaper again, at midnight of some days."""
        many = len(self.products)
        price = self.list_price
        for quarter in range(8):
            day = _START + quarter * (_DAYS // 8) + self.random.integers(1, _DAYS // 8, many)
            price = np.round(price * self.random.normal(1.01, 0.05, many).clip(0.8, 1.25), 2)
            self.log.value("products", "price", self.products, price, day * _DAY)

    def _wait(self, median: float, sigma: float, size: int) -> Integers:
        """Draw durations in seconds."""
        seconds: Integers = self.random.lognormal(np.log(median), sigma, size).astype(np.int64)
        return seconds


def _arrivals(size: int, random: np.random.Generator) -> Integers:
    """Draw times at which orders come in: fewer at weekends and in summer, more before Christmas."""
    day = np.arange(_DAYS)
    weight = np.where(day % 7 >= 5, 0.35, 1.0) * (1 + 0.25 * np.cos(2 * np.pi * (day % 364 - 340) / 364))
    weight *= 1 + 0.6 * ((day % 364 > 320) & (day % 364 < 352))
    days = random.choice(day, size, p=weight / weight.sum())
    hours = 6 + 16 * random.beta(2.2, 2.6, size)
    return np.sort((_START + days) * _DAY + (hours * _HOUR).astype(np.int64))


def _working(time: Integers) -> Integers:
    """Move times outside of working hours to the first hour of the next working day."""
    day, second = time // _DAY, time % _DAY
    weekday = (day - _START) % 7
    late = (second >= _CLOSES) | (weekday >= 5)
    free = late | (second < _OPENS)
    day = day + late
    day = day + np.where((day - _START) % 7 >= 5, 7 - (day - _START) % 7, 0)
    return np.where(free, day * _DAY + _OPENS + second * 7 % _HOUR, time)


def _skewed(most: int, size: int, power: float, random: np.random.Generator) -> Integers:
    """Draw indices below ``most``, small ones more often."""
    indices: Integers = (max(1, most) * random.random(size) ** power).astype(np.int64)
    return indices


def _names(first: Column, second: Column, size: int, random: np.random.Generator) -> Column:
    return np.char.add(np.char.add(random.choice(first, size), " "), random.choice(second, size))
