"""Words the generated records are made of; long lists, no logic."""
# ruff: noqa: SIM905

from __future__ import annotations

from typing import Final

COMPANY_HEADS: Final = tuple(
    "Acorn Albatross Alder Amber Anchor Apex Arbor Argent Aspen Atlas Aurora Azure Beacon Birch Blackwater Blue "
    "Bright Brook Cardinal Cascade Cedar Cinder Clear Cobalt Copper Coral Crescent Crimson Delta Dover Dune Eagle "
    "East Eastern Ember Emerald Evergreen Falcon Fern First Fjord Flint Forge Frontier Garnet Glacier Golden "
    "Granite Grand Green Grey Grove Harbor Hawthorn Hazel High Highland Horizon Indigo Iron Ivory Jade Juniper "
    "Keystone Kite Lark Laurel Liberty Lime Linden Lumen Magnolia Maple Marble Meadow Meridian Midland Monarch "
    "Moss Mountain New Noble North Northern Oak Ocean Olive Onyx Opal Orchid Osprey Pacific Peak Pearl Pine "
    "Pioneer Polar Prairie Quartz Quill Radiant Raven Red Redwood Ridge River Rowan Ruby Saffron Sage Sandstone "
    "Sapphire Scarlet Sierra Silver Solar South Southern Spruce Star Sterling Stone Summit Sun Teal Terra Thistle "
    "Timber Topaz True Tundra Union Upland Valley Velvet Vertex Violet Vista Walnut West Western White Wild "
    "Willow Winter Wren Zenith Zephyr".split()
)
COMPANY_TAILS: Final = tuple(
    "Analytics Apparel Bakery Bank Biotech Brands Brewing Builders Capital Care Chemicals Clinics Components "
    "Consulting Containers Dairy Design Diagnostics Dynamics Electric Electronics Energy Engineering Estates "
    "Explorations Farms Fasteners Film Finance Fisheries Foods Forestry Foundry Freight Furniture Games Gardens "
    "Gas Glass Goods Health Holdings Homes Hospitality Hotels Hydraulics Imaging Implements Industries "
    "Instruments Insurance Interiors Investments Jewelry Kitchens Labs Leasing Legal Lighting Logistics Lumber "
    "Machinery Manufacturing Marine Materials Media Medical Metals Mills Mining Mobility Motors Music Networks "
    "Optics Packaging Paper Partners Pharma Photonics Plastics Power Precision Press Properties Publishing Rail "
    "Recycling Research Resources Retail Robotics Roofing Rubber Sciences Security Semiconductors Services "
    "Shipping Software Solar Solutions Spirits Sports Steel Stores Studios Supply Surveying Systems Technologies "
    "Telecom Textiles Tools Toys Trading Transport Travel Trust Turbines Utilities Ventures Watches Water Wines "
    "Wireless Works".split()
)
COMPANY_FORMS: Final = (
    "", "", "", " Inc.", " Inc.", " LLC", " Ltd.", " GmbH", " AG", " S.A.", " & Sons", " & Co.", ", Inc.", " Group",
    " Holding B.V.", " S.p.A.", " Oy", " A/S", " K.K.", " \u201eNord\u201c", ' "Prime"', " O\u2019Neill", " D'Arcy",
)  # fmt: skip
FIRST_NAMES: Final = tuple(
    "Aaron Ada Adele Agnes Ahmed Aiko Alan Alba Alice Amara Amir Ana Anders Andrea Anja Anton Arjun Astrid Bao "
    "Beatriz Ben Bianca Björn Brigitte Carla Carlos Chen Chiara Chloé Claire Clara Daan Daniel Daria David Deepak "
    "Diego Dmitri Edith Elena Eli Elias Emil Emma Enzo Erik Esther Eva Farah Felix Fatima Finn Freya Gabriel "
    "Georg Grace Greta Hanna Hans Hassan Helen Hiro Hugo Ida Igor Ines Ingrid Irene Isaac Ivan Jack Jana Javier "
    "Joanna João Johan Jonas José Julia Jürgen Kai Karim Karin Kenji Kofi Lara Lars Layla Leo Lin Lola Lucas "
    "Lucía Lukas Maja Malik Marco María Marta Mateo Maya Mei Mia Mikael Mila Mohamed Nadia Naomi Nia Nikolai Nina "
    "Noah Nora Olga Oliver Omar Oscar Pablo Paula Pedro Petra Priya Rafael Rahul Rosa Ruth Samir Sara Sean Selma "
    "Simon Sofia Soren Stella Sven Tariq Teresa Theo Thomas Tomás Uma Vera Victor Viola Wei Yara Yuki Yusuf Zara "
    "Zoë".split()
)
LAST_NAMES: Final = tuple(
    "Abe Adams Ahmed Almeida Andersson Bakker Bauer Becker Bell Bergman Bianchi Brown Byrne Campbell Carter "
    "Castro Chen Clark Cohen Costa Cruz D'Angelo Das Davis Diaz Dubois Dvořák Eriksen Evans Fernández Ferrari "
    "Fischer Fontaine Foster Garcia Gomez González Graham Green Gruber Gupta Haddad Hall Hansen Hassan Hernandez "
    "Hoffmann Horváth Hughes Ibrahim Ivanova Jackson Jansen Jensen Johansson Jones Joshi Kaya Kelly Khan Kim King "
    "Klein Kovač Kowalski Kumar Larsen Laurent Lee Lehmann Leroy Lewis Li Lindberg Lopez Mäkinen Martin Mbeki "
    "Meyer Mitchell Moore Moreau Moretti Morgan Müller Murphy Nakamura Nguyen Nielsen Novak O'Brien O'Connor "
    "Okafor Olsen Ortiz Öztürk Park Patel Pereira Petrov Popescu Price Ramirez Rao Reyes Ricci Roberts Rossi Ruiz "
    "Ryan Sato Schmidt Schneider Sharma Silva Singh Smith Sørensen Suzuki Svensson Tanaka Taylor Thomas Torres "
    "Tran van-Dijk Varga Vasquez Virtanen Vogel Wagner Walker Wang Weber White Wilson Wójcik Wong Wright Yamamoto "
    "Yilmaz Young Zhang Zimmermann".split()
)
STREETS: Final = tuple(
    "Acacia Bay Bridge Canal Castle Church College Court Dock Elm Factory Field Forest Garden Gate Hill "
    "Industrial King Lake Lincoln Main Market Mill Museum Oak Orchard Park Pier Quarry Queen Railway River School "
    "Spring Station Tower University Victoria Water Windmill".split()
)
STREET_KINDS: Final = ("Street", "Avenue", "Road", "Lane", "Boulevard", "Way", "Square", "Drive")
SUITES: Final = ("", "", "", "", "\nSuite 200", "\nFloor 3", "\r\nBuilding B, Gate 4", ", 2nd floor")
# city, state, country
PLACES: Final = (
    ("Amsterdam", "North Holland", "Netherlands"), ("Athens", "Attica", "Greece"), ("Atlanta", "GA", "United States"),
    ("Austin", "TX", "United States"), ("Barcelona", "Catalonia", "Spain"), ("Bengaluru", "Karnataka", "India"),
    ("Berlin", "Berlin", "Germany"), ("Boston", "MA", "United States"), ("Brisbane", "Queensland", "Australia"),
    ("Bucharest", None, "Romania"), ("Budapest", None, "Hungary"), ("Calgary", "Alberta", "Canada"),
    ("Chicago", "IL", "United States"), ("Copenhagen", None, "Denmark"), ("Denver", "CO", "United States"),
    ("Dublin", "Leinster", "Ireland"), ("Düsseldorf", "Nordrhein-Westfalen", "Germany"),
    ("Göteborg", "Västra Götaland", "Sweden"), ("Hamburg", "Hamburg", "Germany"), ("Helsinki", "Uusimaa", "Finland"),
    ("Hong Kong", None, "Hong Kong"), ("İstanbul", None, "Türkiye"), ("Kraków", "Małopolskie", "Poland"),
    ("Lagos", "Lagos", "Nigeria"), ("Lima", None, "Peru"), ("Lisboa", "Lisboa", "Portugal"),
    ("London", "Greater London", "United Kingdom"), ("Lyon", "Auvergne-Rhône-Alpes", "France"),
    ("Madrid", "Madrid", "Spain"), ("Melbourne", "Victoria", "Australia"), ("México", "CDMX", "Mexico"),
    ("Milano", "MI", "Italy"), ("Montréal", "Québec", "Canada"), ("Mumbai", "Maharashtra", "India"),
    ("München", "Bayern", "Germany"), ("Nairobi", None, "Kenya"), ("New York", "NY", "United States"),
    ("Oslo", None, "Norway"), ("Paris", "Île-de-France", "France"), ("Portland", "OR", "United States"),
    ("Praha", None, "Czechia"), ("San Francisco", "CA", "United States"), ("Santiago", "RM", "Chile"),
    ("São Paulo", "SP", "Brazil"), ("Seattle", "WA", "United States"), ("Seoul", None, "South Korea"),
    ("Singapore", None, "Singapore"), ("Stockholm", "Stockholm", "Sweden"), ("Sydney", "NSW", "Australia"),
    ("東京", "東京都", "日本"), ("Toronto", "Ontario", "Canada"), ("Warszawa", "Mazowieckie", "Poland"),
    ("Wien", "Wien", "Austria"), ("Zürich", "ZH", "Switzerland"),
)  # fmt: skip
TITLES: Final = (
    "CEO", "CFO", "CTO", "VP Sales", "VP, Finance", "Head of Procurement", "Buyer", "Plant Manager", "IT Manager",
    "Director, Warehouse Mgmt", "SVP, Technology", "Office Manager", "Engineer", "Analyst", "Project Lead",
)  # fmt: skip
DEPARTMENTS: Final = ("Finance", "Sales", "Marketing", "IT", "Operations", "Legal", "Procurement", "R&D", "HR")
NEXT_STEPS: Final = (
    "Send proposal", "Call back on Monday", "Wait for legal review", "Schedule demo", "Price check, then sign",
    "Meet in person", "Clarify scope", 'Get "go" from the board',
)  # fmt: skip
PRODUCTS: Final = (
    "Generators", "Site licence", "Installation", "Support renewal", "Pilot", "Add-on seats", "Fleet", "Spare parts",
    "Training", "Migration",
)  # fmt: skip
SENTENCES: Final = (
    "Key account since the merger, handled from the regional office.",
    'They call our product "the green box" and mean it kindly.',
    "Prefers e-mail; do not phone before 10:00.",
    "Budget is decided in Q4, order follows in Q1.\nSee last year's notes.",
    "Contract renewed for 3 years, 12% discount, net 30.",
    "Café visit went well \u2615\ufe0f \u2014 they want a pilot in two plants.",
    "Risk: single supplier, long lead times, and a new CFO.",
    "Wants references from \u201esimilar\u201c companies in the DACH region.",
    "Expanding to \u5927\u962a and S\u00e3o Paulo next year \U0001f680.",
    "Invoice address differs;\r\nask accounting before sending anything.",
    "Uses a competitor for spare parts, open to switch.",
    "N/A",
    "Met at the trade fair, stand B-12; follow up with samples, prices, and the brochure.",
    "Owner-run company \U0001f468\u200d\U0001f469\u200d\U0001f467, decisions are quick.",
    "Formula for success: =SUM(trust, speed) \\ patience.",
    "Escalation closed. Root cause: a missing comma, \"quoted\", in their import file.",
    "\tIndented by someone who likes tabs.",
    "Needs ISO 9001 papers and the 2019 audit report.",
    "Interested in leasing; send the calculator and two worked examples.",
    "Delivery window is 06:00-08:00, gate 4, ask for the night shift.",
)  # fmt: skip
